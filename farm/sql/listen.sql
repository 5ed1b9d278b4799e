-- Be told when jobs arrive.
LISTEN farm_wake
