/*
 * Which objects may be evicted: the oldest of NGINX's queue, the newest, and residents drawn at random from the table.
 *
 * Two locks are taken in turn, never both, and neither while the sidecar is asked: NGINX's, under which every request
 * of every worker looks up its object, and that of the table.
 */

#include "evictlab.h"

#define LONGEST_WALK  256   /* nodes that are looked at from either end of the queue */


/* The same search as in NGINX, where it is static. */
ngx_http_file_cache_node_t *
evictlab_lookup(ngx_http_file_cache_t *cache, const u_char *key)
{
    ngx_int_t                    order;
    ngx_rbtree_key_t             first;
    ngx_rbtree_node_t           *node;
    ngx_http_file_cache_node_t  *found;

    ngx_memcpy(&first, key, sizeof(first));
    node = cache->sh->rbtree.root;

    while (node != cache->sh->rbtree.sentinel) {

        if (first != node->key) {
            node = first < node->key ? node->left : node->right;
            continue;
        }

        found = (ngx_http_file_cache_node_t *) node;
        order = ngx_memcmp(key + sizeof(first), found->key, sizeof(found->key));

        if (order == 0) {
            return found;
        }

        node = order < 0 ? node->left : node->right;
    }

    return NULL;
}


static ngx_uint_t
may_leave(const ngx_http_file_cache_node_t *node)
{
    return node->exists && node->fs_size > 0 && node->count == 0 && !node->deleting;
}


/* Notes how the node looks now, to see later whether somebody asked for the object meanwhile. */
static void
look_at(evictlab_candidate_t *candidate, const ngx_http_file_cache_node_t *node)
{
    candidate->expire = node->expire;
    candidate->uses = node->uses;
    candidate->uniq = node->uniq;
    candidate->blocks = node->fs_size;
}


/*
 * Those that may leave, from the old end of the queue, or from the new one: there stands what has just been stored, and
 * what has just been asked for again, which is passed over.  NGINX's lock is held.
 */
static ngx_uint_t
walk(ngx_http_file_cache_t *cache, evictlab_candidate_t *candidates, ngx_uint_t want, ngx_uint_t from_new)
{
    ngx_uint_t                   n = 0, steps = LONGEST_WALK;
    ngx_queue_t                 *q, *queue = &cache->sh->queue;
    ngx_http_file_cache_node_t  *node;

    for (q = from_new ? ngx_queue_head(queue) : ngx_queue_last(queue);
         q != ngx_queue_sentinel(queue) && n < want && steps--;
         q = from_new ? ngx_queue_next(q) : ngx_queue_prev(q))
    {
        node = ngx_queue_data(q, ngx_http_file_cache_node_t, queue);

        if (!may_leave(node) || (from_new && node->uses > 1)) {
            continue;
        }

        ngx_memcpy(candidates[n].key, &node->node.key, sizeof(ngx_rbtree_key_t));
        ngx_memcpy(candidates[n].key + sizeof(ngx_rbtree_key_t), node->key, sizeof(node->key));
        look_at(&candidates[n++], node);
    }

    return n;
}


/* Adds those that are not among the `n` candidates yet, until there are `most`; returns how many there are then. */
static ngx_uint_t
join(evictlab_candidate_t *candidates, ngx_uint_t n, ngx_uint_t most, const evictlab_candidate_t *more,
    ngx_uint_t n_more)
{
    ngx_uint_t  i, j;

    for (i = 0; i < n_more && n < most; i++) {
        for (j = 0; j < n; j++) {
            if (ngx_memcmp(candidates[j].key, more[i].key, EVICTLAB_KEY) == 0) {
                break;
            }
        }

        if (j == n) {
            candidates[n++] = more[i];
        }
    }

    return n;
}


/* Keeps those that were drawn and can really be evicted; the keys of those that NGINX has no more go to `gone`. */
static ngx_uint_t
verify(ngx_http_file_cache_t *cache, evictlab_candidate_t *drawn, ngx_uint_t n, u_char (*gone)[EVICTLAB_KEY],
    ngx_uint_t *n_gone)
{
    ngx_uint_t                   i, kept = 0;
    ngx_http_file_cache_node_t  *node;

    *n_gone = 0;

    ngx_shmtx_lock(&cache->shpool->mutex);

    for (i = 0; i < n; i++) {
        node = evictlab_lookup(cache, drawn[i].key);

        if (node == NULL || (!node->exists && node->count == 0)) {
            ngx_memcpy(gone[(*n_gone)++], drawn[i].key, EVICTLAB_KEY);

        } else if (may_leave(node)) {
            drawn[kept] = drawn[i];
            look_at(&drawn[kept++], node);
        }
    }

    ngx_shmtx_unlock(&cache->shpool->mutex);

    return kept;
}


ngx_uint_t
evictlab_gather(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped, evictlab_candidate_t *candidates)
{
    time_t                 now_sec = ngx_time();
    uint64_t               now_us;
    ngx_uint_t             i, n, n_oldest, n_newest, n_gone, most = conf->candidates;
    evictlab_table_t      *table = conf->table;
    u_char                 gone[EVICTLAB_MAX_K][EVICTLAB_KEY];
    evictlab_candidate_t   newest[EVICTLAB_MAX_K], oldest[EVICTLAB_MAX_K];

    /* More of the old end than is wanted: after a start the table is empty, and what cannot be drawn comes from there. */
    ngx_shmtx_lock(&wrapped->cache->shpool->mutex);
    n_oldest = walk(wrapped->cache, oldest, most, 0);
    n_newest = walk(wrapped->cache, newest, conf->newest, 1);
    ngx_shmtx_unlock(&wrapped->cache->shpool->mutex);

    n = join(candidates, 0, conf->tail, oldest, n_oldest);
    n = join(candidates, n, most, newest, n_newest);

    evictlab_lock(table);
    i = evictlab_table_draw(table, wrapped->number, candidates, n, most - n);
    evictlab_unlock(table);

    n += verify(wrapped->cache, candidates + n, i, gone, &n_gone);
    n = join(candidates, n, most, oldest, n_oldest);
    now_us = evictlab_now_ns() / 1000;

    evictlab_lock(table);

    for (i = 0; i < n_gone; i++) {
        evictlab_table_left(table, wrapped->number, gone[i]);
    }

    for (i = 0; i < n; i++) {
        evictlab_table_describe(table, wrapped->number, &candidates[i], now_us, now_sec);
    }

    evictlab_unlock(table);

    for (i = 0; i < n; i++) {
        candidates[i].features[EVICTLAB_SIZE_BYTES] = (float) candidates[i].blocks * (float) wrapped->cache->bsize;

        if (!candidates[i].known) {
            /* All that NGINX itself knows, in whole seconds. */
            candidates[i].features[EVICTLAB_IDLE_S] = (float) ngx_max(
                now_sec - (candidates[i].expire - wrapped->cache->inactive), 0);
        }
    }

    return n;
}
