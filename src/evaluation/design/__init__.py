"""The sampling design: strata, PSUs, stages and fpc; its variance engines; what a weighting step must offer."""
