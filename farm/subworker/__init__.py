"""The processes that run jobs: the zygote that forks them, and the subworkers. Neither ever sees a database or its password."""
