/* Words of the shared memory that several processes change. Who reads one sees all that was written before it was. */
#ifndef EDGE_ATOMIC_H
#define EDGE_ATOMIC_H

#define EDGE_SEE(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define EDGE_SET(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)
#define EDGE_ADD(p, value) __atomic_add_fetch(p, value, __ATOMIC_ACQ_REL)
#define EDGE_TURN(p, value) __atomic_exchange_n(p, value, __ATOMIC_ACQ_REL)
#define EDGE_OR(p, value) __atomic_fetch_or(p, value, __ATOMIC_ACQ_REL)
#define EDGE_FENCE() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define EDGE_CAS(p, expected, desired) \
    __atomic_compare_exchange_n(p, expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

#endif
