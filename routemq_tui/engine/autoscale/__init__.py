"""How many workers a route needs, decided from what its workers did. Pure: clock and figures are passed in.

`readings` says what is measured, `utilisation` and `rate` are the policies, `scaler` adds what both have in
common: bounds, cool-downs, a switch. Knows no process; `engine.scaling` connects it to them.
"""
