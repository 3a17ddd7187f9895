# runlist: what a request's end sets free for others (a connection, a place in a queue, the client's next request).
#
# Who may go on is woken, and has its turn before the loop waits again, with a stack and a `try` of its own. So no
# request does another's work, a fault is booked to who has it, and nothing recurses, however many wait.

cdef class Job:

    cdef int run(self) except -1:
        raise NotImplementedError


cdef int wake(Gateway g, Job job) noexcept:
    """It has its turn, once, however often it is woken. (This takes no memory: it may be because of its lack.)"""
    if job.woken:
        return 0
    job.woken = True
    if g.jobs is None:
        g.jobs = job
    else:
        g.last_job.next_job = job
    g.last_job = job
    return 0


cdef int run_jobs(Gateway g) except -1:
    """All who are woken, also by each other. Called at the end of whatever the loop calls."""
    cdef Job job
    if g.running:
        return 0
    g.running = True
    try:
        while g.jobs is not None:
            job = g.jobs
            g.jobs, job.next_job = job.next_job, None
            job.woken = False
            try:
                job.run()
            except Exception as error:
                g.log_fault(error, None)
    finally:
        if g.jobs is None:
            g.last_job = None
        g.running = False
    return 0
