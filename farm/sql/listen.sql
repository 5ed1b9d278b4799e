-- Hear of jobs that become claimable while a lane of ours has declared itself idle. Served by no index.
LISTEN farm_wake
