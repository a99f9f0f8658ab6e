"""A staged roll-out as data: dates, plan and realisation, doses, and what a file carries of them."""
