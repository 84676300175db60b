/* A model that onnxruntime runs, on one thread, over buffers that never move. */

#ifndef EVICTLAB_MODEL_H
#define EVICTLAB_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "wire.h"

struct model;

/* Load the library of onnxruntime; on failure, why is filled. */
bool open_library(const char *path, char *why, size_t room);

/* Load model.onnx of a folder, try it with every number of candidates, and hold it against the rows in parity.bin. */
struct model *load_model(const char *folder, char *why, size_t room);

/* As many candidates as a request may have. */
int most_candidates(const struct model *model);

/* Run it once more as it was last run, so that the processor's caches know it. */
void warm_model(struct model *model);

/* Values of the k candidates, valid until the next run; NULL on failure. */
const float *run_model(struct model *model, int k, const float *context, const float *candidates);

void free_model(struct model *model);

#endif
