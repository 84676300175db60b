/* The table beside the caches, in shared memory: what NGINX's own nodes do not remember of each object. */

#ifndef EVICTLAB_TABLE_H
#define EVICTLAB_TABLE_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "evictlab_guard.h"
#include "evictlab_wire.h"

#define EVICTLAB_LAYOUT      0x45764C31  /* changes with the structures below */
#define EVICTLAB_KEY         16
#define EVICTLAB_WAYS        8           /* entries of a set, among which a key must find its place */
#define EVICTLAB_CACHES      16
#define EVICTLAB_NAME        64
#define EVICTLAB_BUCKETS     192         /* eight to each power of two of microseconds */

/* One object; times are microseconds of monotonic time, 0 is not known. */
typedef struct {
    u_char    key[EVICTLAB_KEY];
    uint64_t  last_us;
    uint64_t  previous_us;
    uint64_t  first_us;
    uint64_t  fetched_us;
    uint64_t  last_n;        /* number of its last request among all of the cache */
    int64_t   valid_sec;     /* until when it is fresh, seconds since 1970; 0: not known */
    float     recent;
    float     steady;
    float     origin_s;      /* negative: not known */
    uint32_t  requests;      /* 0: the entry is free */
    uint32_t  hits;
    uint32_t  place;         /* 1 + where in the array of residents; 0: no longer in the cache, as far as known */
    uint32_t  cache;
    uint32_t  unused;
} evictlab_entry_t;

/* One cache, by the name of its keys zone; survives a reload. */
typedef struct {
    u_char            name[EVICTLAB_NAME];   /* ends with zero; the first one is zero: free */
    uint64_t          requests;
    uint64_t          hits;
    uint64_t          last_us;
    double            pace_s;
    evictlab_guard_t  guard;
} evictlab_cache_t;

/* What happened so far; each is raised atomically. */
typedef struct {
    ngx_atomic_t  rounds;          /* of the manager in which there was something to evict */
    ngx_atomic_t  done;            /* ... and the sidecar's answers made enough room */
    ngx_atomic_t  paused;          /* ... or did so until manager_files were removed */
    ngx_atomic_t  fallback_absent; /* ... or NGINX's own LRU went on, because of: no connection */
    ngx_atomic_t  fallback_late;
    ngx_atomic_t  fallback_failed;
    ngx_atomic_t  fallback_empty;  /* "evict nothing" */
    ngx_atomic_t  fallback_shadow; /* it is to decide nothing */
    ngx_atomic_t  fallback_guard;  /* plain LRU was better lately */
    ngx_atomic_t  fallback_none;   /* no candidate, or none that could still be evicted */
    ngx_atomic_t  fallback_slow;   /* manager_threshold was over */
    ngx_atomic_t  fallback_native; /* what leaves first is NGINX's to say: inactive, or keys without a file */
    ngx_atomic_t  asked;
    ngx_atomic_t  ok;
    ngx_atomic_t  empty;
    ngx_atomic_t  late;
    ngx_atomic_t  failed;
    ngx_atomic_t  shadow;          /* of those asked, questions without consequences */
    ngx_atomic_t  stale;           /* answers to questions that were given up */
    ngx_atomic_t  connects;
    ngx_atomic_t  candidates;
    ngx_atomic_t  named;           /* by the sidecar, in questions with consequences */
    ngx_atomic_t  victims;
    ngx_atomic_t  victim_bytes;
    ngx_atomic_t  gone;            /* named, but no longer there, */
    ngx_atomic_t  busy;            /* or in use, */
    ngx_atomic_t  touched;         /* or requested since it was a candidate */
    ngx_atomic_t  took[EVICTLAB_BUCKETS];
} evictlab_counters_t;

typedef struct {
    uint32_t             layout;
    ngx_slab_pool_t     *pool;          /* its lock is that of the table */
    uint32_t             sets;
    uint32_t             slots;         /* sets * EVICTLAB_WAYS */
    uint32_t             used;
    uint32_t             residents;
    uint64_t             displaced;     /* residents that had to give their entry to others */
    evictlab_entry_t    *entries;
    uint32_t            *dense;         /* slots of the residents, in no order */
    evictlab_counters_t  counters;
    evictlab_cache_t     caches[EVICTLAB_CACHES];
} evictlab_table_t;

typedef enum {
    EVICTLAB_HIT = 0,     /* answered from the cache */
    EVICTLAB_REFRESHED,   /* it was there, but no longer fresh, and was fetched again */
    EVICTLAB_INSERTED     /* fetched */
} evictlab_kind_t;

/* One request to a cache. */
typedef struct {
    const u_char     *key;
    uint32_t          cache;
    evictlab_kind_t   kind;
    uint64_t          now_us;
    int64_t           valid_sec;
    float             origin_s;     /* of this fetch; negative: none, or not known */
} evictlab_event_t;

/* One object that may be evicted. */
typedef struct {
    u_char           key[EVICTLAB_KEY];
    ngx_uint_t       known;         /* the table has it */
    float            features[EVICTLAB_FEATURES];
    /* how its node looked when it became a candidate */
    time_t           expire;
    ngx_uint_t       uses;
    ngx_file_uniq_t  uniq;
    off_t            blocks;
} evictlab_candidate_t;

/* Makes an empty table in a zone of shared memory; NULL: the zone is too small. */
evictlab_table_t *evictlab_table_create(ngx_slab_pool_t *pool);

/* Which number a cache has (a new one gets the next); EVICTLAB_CACHES: there are too many.  Lock held. */
uint32_t evictlab_table_cache(evictlab_table_t *table, const ngx_str_t *name);

/* Notes a request.  Lock held. */
void evictlab_table_note(evictlab_table_t *table, const evictlab_event_t *event);

/* Fills in the features of a candidate that the table knows; all others are missing.  Lock held. */
void evictlab_table_describe(evictlab_table_t *table, uint32_t cache, evictlab_candidate_t *candidate,
    uint64_t now_us, time_t now_sec);

/* Draws up to `want` residents of a cache at random behind `n` candidates, none twice; returns how many.  Lock held. */
ngx_uint_t evictlab_table_draw(evictlab_table_t *table, uint32_t cache, evictlab_candidate_t *candidates, ngx_uint_t n,
    ngx_uint_t want);

/* The object has left the cache: what is known of it stays.  Lock held. */
void evictlab_table_left(evictlab_table_t *table, uint32_t cache, const u_char *key);

void evictlab_count_took(evictlab_counters_t *counters, uint64_t took_ns);

/* Upper end, in microseconds, of a bucket of `took`. */
uint64_t evictlab_bucket_us(ngx_uint_t bucket);

static ngx_inline void
evictlab_count(ngx_atomic_t *counter, ngx_atomic_int_t by)
{
    (void) ngx_atomic_fetch_add(counter, by);
}

#endif
