"""farm beside its peers: the same jobs, the same server, one after the other. Run as `python -m bench.peers [--kills] [NAME ...]`."""
