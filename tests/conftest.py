"""What holds for every test."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background has Ctrl-C ignored, and whatever they start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
