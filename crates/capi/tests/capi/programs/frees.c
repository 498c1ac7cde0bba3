/* Makes objects of every kind, some of them of others, and frees them in an order of chance from several threads at once,
 * while runs go on elsewhere:
 *
 *   frees SEED ROUNDS FOLDER [keep|early]      a folder for run directories
 *
 * An object is used once more just before it is freed, when whatever it was made from may be gone. What a target was given
 * must be dropped exactly once: after all that was made from it has been freed, and not before the last call that
 * uses it. `keep` forgets one object and `early` drops what is in use: both must be noticed. Exit status 0 if all is right. */
#include <retrograde.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TARGETS = 9, FREEING = 4, RUNNING = 2, DRAWS = 64 };

static void die(int line, const char *what, const rg_error *err) {
  fprintf(stderr, "frees.c:%d: %s: %s\n", line, what, rg_error_detail(err));
  exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : die(__LINE__, #condition, NULL))
#define OK(call)                                               \
  do {                                                         \
    rg_error *err = NULL;                                      \
    if ((call) != RG_OK) die(__LINE__, #call, err);            \
  } while (0)

/* What a target is given. */
typedef struct {
  atomic_int holders, within, drops;
} owned;

static void drop(void *user) {
  owned *o = user;
  CHECK(atomic_load(&o->holders) == 0 && "dropped while it is held");
  CHECK(atomic_load(&o->within) == 0 && "dropped while it is called");
  CHECK(atomic_fetch_add(&o->drops, 1) == 0 && "dropped twice");
}

/* exp(-|x|^2 / 2). */
static rg_status batch(void *user, size_t n, size_t d, const double *x, double *logp, double *grad) {
  owned *o = user;
  atomic_fetch_add(&o->within, 1);
  CHECK(atomic_load(&o->drops) == 0 && "called after it was dropped");
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      sum -= 0.5 * x[i * d + j] * x[i * d + j];
      if (grad != NULL) grad[i * d + j] = -x[i * d + j];
    }
    if (logp != NULL) logp[i] = sum;
  }
  atomic_fetch_sub(&o->within, 1);
  return RG_OK;
}

static rg_status point(void *user, size_t d, const double *x, double *logp, double *grad) {
  return batch(user, 1, d, x, logp, grad);
}

static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                      double *grad) {
  (void)call;
  return batch(object, n, d, x, logp, grad);
}

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)object, (void)call;
  *d = 2;
  return RG_OK;
}

typedef enum { CONTEXT, TARGET, PROCESS, SCORE, SAMPLER, RESULT, CANCEL, ERROR } kind;

typedef struct {
  kind kind;
  void *object;
  owned *of; /* What it holds, or NULL. Results hold what they like. */
} handle;

static unsigned next(uint64_t *state, unsigned below) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(*state >> 33) % below;
}

static rg_run_options few(uint64_t seed) {
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  options.seed = seed;
  options.n_draws = DRAWS;
  options.n_threads = 1 + seed % 2;
  return options;
}

static void read_draws(const rg_result *r) {
  double draws[2 * DRAWS];
  size_t n, d;
  OK(rg_result_shape(r, NULL, &n, &d, NULL, NULL, &err));
  CHECK(n <= DRAWS && d == 2);
  OK(rg_result_partial_draws(r, draws, 0, 2 * DRAWS, &err));
  for (size_t i = 0; i < 2 * n; i++) CHECK(draws[i] > -100.0 && draws[i] < 100.0);
}

static void use(const handle *h, uint64_t seed) {
  const double x[4] = {0.5, 1.0, -1.0, 0.25}, t[1] = {0.5};
  double out[4];
  size_t n;
  rg_result *result = NULL;
  const rg_run_options options = few(seed);
  switch (h->kind) {
    case CONTEXT: OK(rg_context_count(h->object, RG_KIND_SAMPLER, &n, &err)); break;
    case TARGET: OK(rg_target_eval(h->object, 2, 2, x, 0, NULL, out, 0, &err)); break;
    case PROCESS: OK(rg_process_drift(h->object, 2, 2, t, 0, x, 0, out, 0, &err)); break;
    case SCORE: OK(rg_score_eval(h->object, seed, 2, 2, t, 0, x, 0, out, 0, &err)); break;
    case SAMPLER:
      OK(rg_sampler_run(h->object, &options, &result, &err));
      read_draws(result);
      rg_result_free(result);
      break;
    case RESULT: read_draws(h->object); break;
    case CANCEL: rg_cancel_request(h->object); break;
    case ERROR: CHECK(strlen(rg_error_detail(h->object)) > 5); break;
  }
}

static void release(const handle *h) {
  if (h->of != NULL) atomic_fetch_sub(&h->of->holders, 1);
  switch (h->kind) {
    case CONTEXT: rg_context_free(h->object); break;
    case TARGET: rg_target_free(h->object); break;
    case PROCESS: rg_process_free(h->object); break;
    case SCORE: rg_score_free(h->object); break;
    case SAMPLER: rg_sampler_free(h->object); break;
    case RESULT: rg_result_free(h->object); break;
    case CANCEL: rg_cancel_free(h->object); break;
    case ERROR: rg_error_free(h->object); break;
  }
}

static handle all[32 * TARGETS];
static size_t n_all;

static void *put(kind kind, void *object, owned *of) {
  CHECK(object != NULL && n_all < sizeof all / sizeof all[0]);
  if (of != NULL) atomic_fetch_add(&of->holders, 1);
  all[n_all++] = (handle){kind, object, of};
  return object;
}

static rg_target *target_of(const rg_context *cx, owned *o, unsigned i) {
  static const int32_t classes[] = {RG_THREAD_CALLER, RG_THREAD_SERIAL, RG_THREAD_CONCURRENT};
  const uint64_t caps = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC;
  const int32_t class = classes[i / 3 % 3];
  const rg_target_vtable table = {.struct_size = sizeof table,
                                  .caps = caps,
                                  .threading = class,
                                  .destroy = drop,
                                  .dim = dim,
                                  .eval = eval};
  rg_target *made = NULL;
  switch (i % 3) {
    case 0: OK(rg_target_from_point(cx, 2, point, o, drop, RG_CAP_GRADIENT, class, &made, &err)); break;
    case 1: OK(rg_target_from_batch(cx, 2, batch, o, drop, caps, class, &made, &err)); break;
    default: OK(rg_target_from_vtable(cx, &table, o, &made, &err));
  }
  return made;
}

static int32_t stop(void *user, const rg_progress *p) {
  (void)user;
  return p->step > 0;
}

/* A target of the program's own, and all that can be made from it. */
static void make(owned *o, unsigned i, const char *folder, uint64_t seed) {
  static const double lower[2] = {-2.0, -3.0};
  rg_context *cx = NULL;
  rg_target *bounded = NULL;
  rg_process *ou = NULL, *langevin = NULL;
  rg_score *score = NULL;
  rg_sampler *sampler = NULL;
  rg_cancel *cancel = NULL;
  rg_result *result = NULL;
  rg_error *error = NULL;
  rg_run_options options = few(seed);
  OK(rg_context_new(&cx, &err));
  put(CONTEXT, cx, NULL);
  const rg_target *target = put(TARGET, target_of(cx, o, i), o);
  OK(rg_target_bounded(cx, target, lower, NULL, &bounded, &err));
  put(TARGET, bounded, o);
  OK(rg_process_new(cx, "ou", NULL, target, 0, &ou, &err));
  put(PROCESS, ou, NULL); /* Both processes take no more than the dimension. */
  OK(rg_process_new(cx, "langevin", NULL, target, 0, &langevin, &err));
  put(PROCESS, langevin, NULL);
  OK(rg_score_new(cx, "monte-carlo", NULL, target, ou, &score, &err));
  put(SCORE, score, o);
  OK(rg_sampler_new(cx, "reverse-sde", NULL, NULL, ou, score, &sampler, &err));
  put(SAMPLER, sampler, o);
  OK(rg_sampler_new(cx, "ula", "chains = 4\nwarmup = 3", bounded, NULL, NULL, &sampler, &err));
  put(SAMPLER, sampler, o);
  OK(rg_sampler_from_toml(cx, "[sampler]\nkind = \"smc\"", target, &sampler, &err));
  put(SAMPLER, sampler, o);
  OK(rg_cancel_new(&cancel, &err));
  put(CANCEL, cancel, NULL);
  OK(rg_sampler_run(sampler, &options, &result, &err));
  put(RESULT, result, NULL);
  options.cancel = cancel, options.progress = stop;
  OK(rg_sampler_new(cx, "hmc", "chains = 1", target, NULL, NULL, &sampler, &err));
  put(SAMPLER, sampler, o);
  result = NULL;
  const rg_status stopped = rg_sampler_run(sampler, &options, &result, &error);
  CHECK(stopped == RG_ERR_CANCELLED);
  put(ERROR, error, NULL);
  if (result != NULL) put(RESULT, result, NULL);
  error = NULL;
  CHECK(rg_sampler_new(cx, "smcc", NULL, target, NULL, NULL, &sampler, &error) == RG_ERR_NOT_FOUND);
  put(ERROR, error, NULL);
  if (i % 3 == 1) {
    char dir[512];
    snprintf(dir, sizeof dir, "%s/run-%llu-%u", folder, (unsigned long long)seed, i);
    options = few(seed);
    OK(rg_job_run(cx, "[sampler]\nkind = \"smc\"", target, dir, &options, &result, &err));
    put(RESULT, result, NULL);
  }
}

static atomic_size_t taken;
static atomic_int ended;
static uint64_t round_seed;

/* Frees whatever is next in the shuffled order. */
static void *freeing(void *from) {
  uint64_t state = round_seed + 7 * (uint64_t)(size_t)from;
  for (size_t i; (i = atomic_fetch_add(&taken, 1)) < n_all;) {
    if (next(&state, 4) != 0) use(&all[i], state);
    release(&all[i]);
  }
  return NULL;
}

/* A target that all of these threads run, and objects of their own. */
static void *running(void *shared) {
  uint64_t seed = round_seed;
  do {
    owned mine = {0};
    rg_context *cx = NULL;
    rg_sampler *own = NULL;
    rg_result *result = NULL;
    rg_run_options options = few(++seed);
    OK(rg_context_new(&cx, &err));
    rg_target *target = target_of(cx, &mine, (unsigned)seed % 9);
    OK(rg_sampler_new(cx, "mala", "chains = 2\nwarmup = 2", target, NULL, NULL, &own, &err));
    rg_target_free(target);
    rg_context_free(cx);
    CHECK(atomic_load(&mine.drops) == 0);
    OK(rg_sampler_run(shared, &options, &result, &err));
    rg_result_free(result);
    OK(rg_sampler_run(own, &options, &result, &err));
    rg_sampler_free(own);
    rg_result_free(result);
    CHECK(atomic_load(&mine.drops) == 1);
  } while (!atomic_load(&ended));
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *fault = argc == 5 ? argv[4] : "";
  uint64_t state = strtoull(argv[1], NULL, 10);
  const int rounds = atoi(argv[2]);
  for (int round = 0; round < rounds; round++) {
    owned *owners = calloc(TARGETS + 1, sizeof *owners), *shared = &owners[TARGETS];
    CHECK(owners != NULL);
    n_all = 0;
    atomic_store(&taken, 0);
    atomic_store(&ended, 0);
    for (unsigned i = 0; i < TARGETS; i++) make(&owners[i], i, argv[3], (uint64_t)round * 100 + i);
    for (size_t i = n_all - 1; i > 0; i--) {
      const size_t j = next(&state, (unsigned)i + 1);
      const handle h = all[i];
      all[i] = all[j], all[j] = h;
    }
    for (unsigned i = 0; i < TARGETS; i++) CHECK(atomic_load(&owners[i].drops) == 0);
    size_t last = n_all - 1;
    while (all[last].of == NULL) last--;
    if (strcmp(fault, "keep") == 0) all[last] = all[--n_all];
    if (strcmp(fault, "early") == 0) drop(all[last].of);

    rg_context *cx = NULL;
    rg_sampler *sampler = NULL;
    OK(rg_context_new(&cx, &err));
    rg_target *target = target_of(cx, shared, 7);
    OK(rg_sampler_new(cx, "smc", NULL, target, NULL, NULL, &sampler, &err));
    rg_target_free(target);
    rg_context_free(cx);
    round_seed = state;
    pthread_t threads[FREEING + RUNNING];
    for (size_t i = 0; i < FREEING + RUNNING; i++)
      CHECK(pthread_create(&threads[i], NULL, i < FREEING ? freeing : running,
                           i < FREEING ? (void *)i : (void *)sampler) == 0);
    for (size_t i = 0; i < FREEING; i++) pthread_join(threads[i], NULL);
    atomic_store(&ended, 1);
    for (size_t i = FREEING; i < FREEING + RUNNING; i++) pthread_join(threads[i], NULL);

    for (unsigned i = 0; i < TARGETS; i++)
      CHECK(atomic_load(&owners[i].drops) == 1 && "everything is freed, but not dropped");
    CHECK(atomic_load(&shared->drops) == 0);
    rg_sampler_free(sampler);
    CHECK(atomic_load(&shared->drops) == 1);
    free(owners);
  }
  puts("every drop once");
  return 0;
}
