-- Hear of the ends of jobs for which this session has registered. Served by no index.
SELECT farm.listen_for_ends()
