# runlist: what a request's end sets free for others (a connection, a place in a queue, the client's next request).
#
# Who may go on is woken, and has its turn before the loop waits again, with a stack and a `try` of its own. So no
# request does another's work, a fault is booked to who has it, and nothing recurses, however many wait.

cdef class Job:

    cdef int run(self) except -1:
        raise NotImplementedError


cdef int wake(Gateway g, Job job) except -1:
    """It has its turn, once, however often it is woken."""
    if not job.woken:
        g.jobs.append(job)
        job.woken = True
    return 0


cdef int run_jobs(Gateway g) except -1:
    """All who are woken, also by each other. Called at the end of whatever the loop calls."""
    cdef Job job
    cdef Py_ssize_t i = 0
    if g.running:
        return 0
    g.running = True
    try:
        while i < len(g.jobs):
            job = g.jobs[i]
            i += 1
            job.woken = False
            try:
                job.run()
            except Exception as error:
                g.log_fault(error, None)
    finally:
        del g.jobs[:i]
        g.running = False
    return 0
