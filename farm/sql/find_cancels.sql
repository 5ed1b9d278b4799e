-- Tell whether somebody has asked to cancel a job that had not ended then. Served by the primary key of cancel_request.
SELECT EXISTS (SELECT FROM farm.cancel_request AS c WHERE c.shard = 0)
