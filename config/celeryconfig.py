"""Celery's settings for every Godel process, a reason beside each.

Plain values, nothing of the repository imported: the wheel carries this file as
`godel_tasks/_celeryconfig.py`, and `godel_tasks/celery.py` loads whichever is there. What depends
on where and how Godel runs is filled in by `godel_tasks/celery.py` and must not be set here:
broker_url, result_backend, redbeat_redis_url, result_expires, imports, task_routes, beat_schedule.
Flags, not settings: `--without-gossip --without-mingle` (see Procfile).
"""

# -- messages ----------------------------------------------------------------------------------

# Nothing but JSON goes in or out: a pickle from a stranger with broker access is code.
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]

# Times on the wire are UTC, whatever machine writes them.
enable_utc = True
timezone = "UTC"

# -- a broker that goes away -------------------------------------------------------------------

# A server that comes up after its workers, or restarts, is waited for ...
broker_connection_retry = True
broker_connection_retry_on_startup = True
# ... for as long as it takes: after the default 100 attempts a worker ends for good.
broker_connection_max_retries = None
# An error answer (LOADING, READONLY after a failover) is a reason to connect again, not to end.
broker_channel_error_retry = True

# An unacknowledged message (a control job, or one on its way through the intake) is given to
# another worker after this long, in seconds. No control job runs for minutes, and Celery is never
# handed an ETA. kombu and Celery read it in three places, and misbehave where these differ.
visibility_timeout = 600

broker_transport_options = {
    "visibility_timeout": visibility_timeout,
    # A half-open BRPOP is noticed after this many seconds (51 s were measured without).
    "health_check_interval": 5,
    # No publish waits for ever on a dead connection. Above the 1 s of a BRPOP.
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    # So that NAT and firewalls keep an idle connection. kombu leaves it out on a unix socket.
    "socket_keepalive": True,
    "retry_on_timeout": True,
}

# -- results -----------------------------------------------------------------------------------

result_backend_transport_options = {"visibility_timeout": visibility_timeout}
# The same care as for the broker; the default of 120 s would hold a `get()` for two minutes.
redis_socket_timeout = 10.0
redis_socket_connect_timeout = 5.0
redis_backend_health_check_interval = 5
redis_retry_on_timeout = True
# redis_socket_keepalive is left out on purpose: unlike the broker, the result backend passes it on
# to unix sockets, which refuse it with a TypeError.

# -- control jobs ------------------------------------------------------------------------------

# A job that its worker did not finish is still there for the next one ...
task_acks_late = True
# ... and one whose pool process was killed is sent again, as often as its max_retries says, so that
# a job that kills its process does not go round for ever; rejecting is the way if that fails.
task_retry_on_worker_lost = True
task_reject_on_worker_lost = True
# A broker connection that was lost takes its late-acknowledged jobs with it: they will be delivered
# again, so running them to the end here would run them twice.
worker_cancel_long_running_tasks_on_connection_loss = True

# A worker takes a job when it has a free slot for it, and leaves the rest for its siblings.
worker_disable_prefetch = True
worker_prefetch_multiplier = 1
# What a worker takes beyond that and keeps in memory: at the intake, messages that wait for room in
# a full queue; and jobs, should somebody send them with an ETA.
worker_eta_task_limit = 100

# -- workers -----------------------------------------------------------------------------------

# structlog formats every record, Celery's too; a hijacked root logger would take it away ...
worker_hijack_root_logger = False
# ... and a redirected stdout would log what structlog writes to it once more.
worker_redirect_stdouts = False

# Seconds in which running jobs may end after QUIT, or a second TERM, before they are cut off. The
# grace periods of `godel up` and of docker-compose.yml are longer.
worker_soft_shutdown_timeout = 10.0

# A pool process on a busy machine may take longer to import than the default of 4 s.
worker_proc_alive_timeout = 30.0

# `inspect`, `control`, `revoke`, Flower: the operators' way in.
worker_enable_remote_control = True

# Events cost a publish each: off until Flower, or `celery control enable_events`, turns them on.
worker_send_task_events = False
# task-sent halves the speed of publishing.
task_send_sent_event = False

# The check is for RabbitMQ's quorum queues; Godel runs on Redis.
worker_detect_quorum_queues = False

# -- beat --------------------------------------------------------------------------------------

# Schedules live in Redis, and a lock there lets one beat run however many are started.
beat_scheduler = "redbeat.RedBeatScheduler"
# Seconds between two looks at the schedule: how late a schedule that was just added can start.
beat_max_loop_interval = 5
# Seconds until the lock of a beat that was killed is free; at least twice the loop. The default of
# 1500 would leave the fleet without probes for 25 minutes.
redbeat_lock_timeout = 15
redbeat_redis_options = {
    # Try a Redis that is away again and again (-1: for ever) rather than end.
    "retry_period": -1,
    "socket_timeout": 10,
    "health_check_interval": 5,
}
