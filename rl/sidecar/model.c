/* onnxruntime without its header: the library of the Python package is loaded, and its functions are called by their place
 * in a table to which new ones are only ever appended. */

#include "model.h"

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { API = 10 }; /* of onnxruntime 1.10: later ones still hand it out */

enum { /* places in the table */
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_THREADS = 24,
    SET_INTER_OP_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    RELEASE_STATUS = 93,
    RELEASE_SESSION = 95,
    RELEASE_VALUE = 96,
    RELEASE_SESSION_OPTIONS = 100,
    ADD_SESSION_CONFIG_ENTRY = 130,
};

enum { LOG_ERROR = 3, FLOAT = 1, DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0 };

typedef void *status; /* NULL: done */
typedef void (*function)(void);

static function const *table;
static void *environment, *memory;

#define CALL(place, result, ...) ((result(*)(__VA_ARGS__))table[place])

struct model {
    void *session;
    int last_k;  /* of the last run */
    int fixed_k; /* a flat network takes so many candidates, others being absent; 0: any number */
    void *context, *candidates[MAX_K + 1], *q[MAX_K + 1]; /* tensors over the buffers below, by number of candidates */
    float context_data[CONTEXT];
    float candidates_data[MAX_K * FEATURES];
    float q_data[MAX_K];
};

/* Whether a call failed; then says why. */
static bool failed(status error, char *why, size_t room)
{
    if (!error)
        return false;
    snprintf(why, room, "onnxruntime: %s", CALL(GET_ERROR_MESSAGE, const char *, status)(error));
    CALL(RELEASE_STATUS, void, status)(error);
    return true;
}

bool open_library(const char *path, char *why, size_t room)
{
    struct base {
        function const *(*get_api)(uint32_t);
        const char *(*get_version)(void);
    };
    struct base const *(*get_base)(void);
    setenv("ORT_DISABLE_TELEMETRY", "1", 0); /* it is on since version 1.29, and an eviction is nobody's business */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, room, "%s", dlerror());
        return false;
    }
    *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    if (!get_base || !(table = get_base()->get_api(API))) {
        snprintf(why, room, "%s: no onnxruntime of version 1.10 or later", path);
        return false;
    }
    return !failed(CALL(CREATE_ENV, status, int, const char *, void **)(LOG_ERROR, "evictlab", &environment), why, room) &&
           !failed(CALL(CREATE_CPU_MEMORY_INFO, status, int, int, void **)(DEVICE_ALLOCATOR, DEFAULT_MEMORY, &memory), why, room);
}

static void *open_session(const char *path, char *why, size_t room)
{
    void *options = NULL, *session = NULL;
    if (failed(CALL(CREATE_SESSION_OPTIONS, status, void **)(&options), why, room))
        return NULL;
    /* One thread that does not spin: a decision takes microseconds, and the processors belong to NGINX. */
    if (failed(CALL(SET_INTRA_OP_THREADS, status, void *, int)(options, 1), why, room) ||
        failed(CALL(SET_INTER_OP_THREADS, status, void *, int)(options, 1), why, room) ||
        failed(CALL(ADD_SESSION_CONFIG_ENTRY, status, void *, const char *, const char *)(
                   options, "session.intra_op.allow_spinning", "0"),
               why, room) ||
        failed(CALL(CREATE_SESSION, status, void *, const char *, void *, void **)(environment, path, options, &session), why,
               room))
        session = NULL;
    CALL(RELEASE_SESSION_OPTIONS, void, void *)(options);
    return session;
}

static bool bind(void **tensor, float *data, const int64_t *shape, size_t dimensions, char *why, size_t room)
{
    size_t bytes = sizeof(float);
    for (size_t i = 0; i < dimensions; i++)
        bytes *= (size_t)shape[i];
    return !failed(CALL(CREATE_TENSOR_WITH_DATA, status, void *, void *, size_t, const int64_t *, size_t, int, void **)(
                       memory, data, bytes, shape, dimensions, FLOAT, tensor),
                   why, room);
}

static bool run_bound(struct model *model, int k, char *why, size_t room)
{
    model->last_k = k;
    static const char *const inputs[] = {"candidates", "context"}, *const outputs[] = {"q"};
    const void *given[] = {model->candidates[k], model->context};
    return !failed(CALL(RUN, status, void *, void *, const char *const *, const void *const *, size_t, const char *const *,
                        size_t, void **)(model->session, NULL, inputs, given, 2, outputs, 1, &model->q[k]),
                   why, room);
}

int most_candidates(const struct model *model)
{
    return model->fixed_k ? model->fixed_k : MAX_K;
}

const float *run_model(struct model *model, int k, const float *context, const float *candidates)
{
    char why[256];
    memcpy(model->context_data, context, sizeof model->context_data);
    memcpy(model->candidates_data, candidates, sizeof(float) * (size_t)k * FEATURES);
    for (int i = k * FEATURES; i < model->fixed_k * FEATURES; i++)
        model->candidates_data[i] = MISSING;
    if (model->fixed_k)
        k = model->fixed_k;
    return run_bound(model, k, why, sizeof why) ? model->q_data : NULL;
}

void warm_model(struct model *model)
{
    char why[256];
    run_bound(model, model->last_k, why, sizeof why);
}

/* The rows that came with the model, so that what serves has itself given the values that training gave. */
static bool repeats(struct model *model, FILE *file, uint32_t rows, uint32_t k, char *why, size_t room)
{
    float context[CONTEXT], candidates[MAX_K * FEATURES], expected[MAX_K];
    snprintf(why, room, "its parity rows are cut short, or it cannot work on them");
    for (uint32_t row = 0; row < rows; row++) {
        const float *q;
        if (fread(candidates, sizeof(float) * FEATURES, k, file) != k || fread(context, sizeof context, 1, file) != 1 ||
            fread(expected, sizeof(float), k, file) != k || !(q = run_model(model, (int)k, context, candidates)))
            return false;
        for (uint32_t i = 0; i < k; i++) {
            float allowed = 1e-4f * fmaxf(1, fabsf(expected[i]));
            if (candidates[i * FEATURES + SIZE_BYTES] >= 0 && !(fabsf(q[i] - expected[i]) <= allowed)) {
                snprintf(why, room, "row %u, candidate %u: q is %g here and was %g in training", row, i, (double)q[i],
                         (double)expected[i]);
                return false;
            }
        }
    }
    return true;
}

struct model *load_model(const char *folder, char *why, size_t room)
{
    char path[4096];
    uint32_t head[3] = {0}; /* parity rows, candidates of each, and whether the model takes just so many */
    snprintf(path, sizeof path, "%s/parity.bin", folder);
    FILE *file = fopen(path, "rb");
    struct model *model = calloc(1, sizeof *model);
    snprintf(why, room, "%s cannot be read", path);
    bool sound = file && model && fread(head, sizeof head, 1, file) == 1 && head[0] && head[1] && head[1] <= MAX_K;
    if (sound) {
        model->fixed_k = head[2] ? (int)head[1] : 0;
        snprintf(path, sizeof path, "%s/model.onnx", folder);
        sound = (model->session = open_session(path, why, room)) &&
                bind(&model->context, model->context_data, (const int64_t[]){1, CONTEXT}, 2, why, room);
    }
    for (int k = 1; sound && k <= MAX_K; k++)
        if (!model->fixed_k || k == model->fixed_k)
            sound = bind(&model->candidates[k], model->candidates_data, (const int64_t[]){1, k, FEATURES}, 3, why, room) &&
                    bind(&model->q[k], model->q_data, (const int64_t[]){1, k}, 2, why, room) &&
                    run_bound(model, k, why, room);
    sound = sound && repeats(model, file, head[0], head[1], why, room);
    if (file)
        fclose(file);
    if (sound)
        return model;
    free_model(model);
    return NULL;
}

void free_model(struct model *model)
{
    if (!model)
        return;
    for (int k = 1; k <= MAX_K; k++) {
        if (model->candidates[k])
            CALL(RELEASE_VALUE, void, void *)(model->candidates[k]);
        if (model->q[k])
            CALL(RELEASE_VALUE, void, void *)(model->q[k]);
    }
    if (model->context)
        CALL(RELEASE_VALUE, void, void *)(model->context);
    if (model->session)
        CALL(RELEASE_SESSION, void, void *)(model->session);
    free(model);
}
