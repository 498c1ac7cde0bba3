/* The classes of retrograde.hpp: what they give, and what they throw. Exit status 0 if all is right. */
#include <retrograde.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <thread>

#define CHECK(condition)                                                                     \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                   \
      std::exit(1);                                                                          \
    }                                                                                        \
  } while (0)

namespace rg = retrograde;

struct own_exception : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class E, class F> std::string caught(F f) {
  try {
    f();
  } catch (const E &e) {
    return e.what();
  }
  return "";
}

static const double log_2pi = std::log(2.0 * 3.14159265358979323846);

int main(int argc, char **argv) {
  rg::context cx;
  CHECK(cx.names(RG_KIND_SAMPLER).size() > 5);
  CHECK(cx.describe(RG_KIND_SAMPLER, "smc").find("\"name\":\"smc\"") != std::string::npos);

  auto bowl = [](auto x, auto grad) {
    double sum = 0.0;
    for (std::size_t j = 0; j < x.size(); j++) {
      sum -= 0.5 * x[j] * x[j];
      if (!grad.empty()) grad[j] = -x[j];
    }
    return sum;
  };
  auto points = rg::target::of_points(cx, 2, bowl, RG_CAP_GRADIENT, RG_THREAD_CONCURRENT);
  auto batches = rg::target::of_batches(
      cx, 2,
      [&](auto x, auto logp, auto grad) {
        for (std::size_t i = 0; i < x.size(); i++) {
          const double l = bowl(x[i], grad.empty() ? rg::span<double>() : grad[i]);
          if (!logp.empty()) logp[i] = l;
        }
      },
      RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC, RG_THREAD_CONCURRENT);
  CHECK(points.dim() == 2);
  rg::matrix x(2, 2), grad;
  x.data()[0] = 1.0, x.data()[3] = 2.0;
  const auto l = points.eval(x, &grad);
  CHECK(l[0] == -0.5 && l[1] == -2.0 && grad(0, 0) == -1.0 && grad(1, 1) == -2.0);
  points.check(x);

  rg::options options;
  options.draws = 1000, options.seed = 2;
  const rg::sampler smc(cx, "smc", "", points);
  const auto result = smc.run(options);
  const auto draws = result.draws();
  CHECK(result.complete() && draws.size() == 1000 && draws.dim() == 2);
  CHECK(std::abs(result.scalar("log_z") - log_2pi) < 5.0 * result.scalar("log_z_se"));
  CHECK(result.json().find("\"verdicts\"") != std::string::npos);
  /* Points and batches are one target: the same bits. */
  const auto same = rg::sampler(cx, "smc", "", batches).run(options).draws();
  for (std::size_t i = 0; i < 2000; i++) CHECK(same.data()[i] == draws.data()[i]);

  /* What a callback throws comes out as it is; once, and the target lives on. */
  bool throws = true;
  auto moody = rg::target::of_points(cx, 2, [&](auto x, auto grad) {
    if (throws) throw own_exception("no energy today");
    return bowl(x, grad);
  });
  const rg::sampler moody_smc(cx, "smc", "", moody);
  CHECK(caught<own_exception>([&] { moody_smc.run(options); }) == "no energy today");
  CHECK(caught<own_exception>([&] { moody.eval(x); }) == "no energy today");
  throws = false;
  CHECK(moody_smc.run(options).complete());

  /* Out of what was made from it as well: a score that draws from it, and a run by that score. And an older one never comes out
     in place of what was wrong this time. */
  const rg::process vp(cx, "vp", "", moody);
  const rg::score guess(cx, "monte-carlo", "", &moody, &vp);
  const rg::sampler back(cx, "reverse-sde", "", points, &vp, &guess);
  CHECK(guess.eval(0.5, x).size() == 2);
  throws = true;
  CHECK(caught<own_exception>([&] { guess.eval(0.5, x); }) == "no energy today");
  CHECK(caught<own_exception>([&] { back.run(options); }) == "no energy today");
  CHECK(caught<own_exception>([&] { moody.check(x); }) == "no energy today");
  throws = false;
  CHECK(caught<rg::error>([&] { rg::sampler(cx, "smc", "alpha = 7.0", moody); }).find("alpha") != std::string::npos);
  CHECK(caught<rg::error>([&] { moody.check(rg::matrix(4, 3)); }).find("dimension") != std::string::npos);
  CHECK(caught<std::length_error>([&] { rg::matrix(std::size_t(-1) / 2, 4); }).find("matrix") != std::string::npos);
  {
    /* All threads that run into it get it. */
    const auto angry = rg::target::of_points(
        cx, 2, [](auto, auto) -> double { throw own_exception("never"); }, RG_CAP_GRADIENT, RG_THREAD_CONCURRENT);
    const rg::sampler many(cx, "ula", "", angry);
    std::thread threads[4];
    int got[4] = {0, 0, 0, 0};
    for (int k = 0; k < 4; k++)
      threads[k] = std::thread([&, k] { got[k] = caught<own_exception>([&] { many.run(); }) == "never"; });
    for (auto &t : threads) t.join();
    for (const int g : got) CHECK(g == 1);
  }
  rg::matrix writable(1, 2);
  writable(0, 1) = 2.0;
  CHECK(points.eval(rg::rows<double>(writable.data(), 1, 2))[0] == -2.0);

  /* Progress that throws, and that stops. */
  options.progress = [](const rg_progress &) -> bool { throw own_exception("watched too long"); };
  CHECK(caught<own_exception>([&] { smc.run(options); }) == "watched too long");
  options.progress = [](const rg_progress &p) { return p.step == 0; };
  const auto stopped = rg::sampler(cx, "hmc", "", points).run(options);
  CHECK(!stopped.complete());
  CHECK(caught<rg::error>([&] { stopped.draws(); }).find("cancelled") != std::string::npos);
  (void)stopped.partial_draws();

  /* Stopped at every seventh call of the target: no other error, never complete, and what was kept is a beginning of the
     whole. */
  options.progress = nullptr;
  options.draws = 200;
  std::size_t calls = 0, last = 0;
  rg::cancel flag;
  const auto counted = rg::target::of_points(cx, 2, [&](auto x, auto grad) {
    if (++calls == last) flag.request();
    return bowl(x, grad);
  });
  const rg::sampler ula(cx, "ula", "warmup = 3\nchains = 1", counted);
  const auto whole = ula.run(options).draws();
  const std::size_t all = calls;
  std::size_t kept = 0;
  for (last = 1; last < all; last += 7) {
    calls = 0;
    flag = rg::cancel();
    options.cancel = &flag;
    try {
      const auto part = ula.run(options);
      if (part.complete()) continue; /* In calls after the last step. */
      const auto begun = part.partial_draws();
      CHECK(begun.size() <= 200);
      kept = begun.size() > kept ? begun.size() : kept;
      for (std::size_t i = 0; i < 2 * begun.size(); i++) CHECK(begun.data()[i] == whole.data()[i]);
    } catch (const rg::error &e) {
      CHECK(e.status() == RG_ERR_CANCELLED); /* Before the first step. */
    }
  }
  CHECK(kept > 100);
  options.cancel = nullptr;
  options.draws = 1000;

  /* Two runs of one sampler at once, on targets of each thread class: the bits of one alone. */
  for (const std::int32_t threading : {RG_THREAD_CALLER, RG_THREAD_SERIAL, RG_THREAD_CONCURRENT}) {
    const auto shared = rg::target::of_points(cx, 2, bowl, RG_CAP_GRADIENT, threading);
    const rg::sampler both(cx, "smc", "", shared);
    rg::matrix found[2];
    std::thread threads[2];
    for (int k = 0; k < 2; k++) threads[k] = std::thread([&, k] { found[k] = both.run(options).draws(); });
    for (auto &t : threads) t.join();
    for (const auto &x2 : found)
      for (std::size_t i = 0; i < 2000; i++) CHECK(x2.data()[i] == draws.data()[i]);
  }

  /* Errors, and their statuses. */
  try {
    rg::sampler bad(cx, "smc", "movez = 3", points);
    CHECK(false);
  } catch (const rg::error &e) {
    CHECK(e.status() == RG_ERR_CONFIG && e.detail().find("movez") != std::string::npos);
  }
  CHECK(caught<rg::error>([&] { points.bounded(cx, {0.0}, {}); }).find("limits") != std::string::npos);

  /* The half-plane x0 > 0 has half of the mass. */
  const double inf = std::numeric_limits<double>::infinity();
  const auto half = points.bounded(cx, {0.0, -inf}, {});
  const auto limited = rg::sampler(cx, "smc", "", half).run(options);
  CHECK(std::abs(limited.scalar("log_z") - (log_2pi - std::log(2.0))) < 5.0 * limited.scalar("log_z_se"));
  const auto natural = limited.draws();
  for (std::size_t i = 0; i < natural.size(); i++) CHECK(natural(i, 0) > 0.0);

  const rg::process ou(cx, "ou", "", points);
  const auto info = ou.info();
  CHECK(info.dim == 2 && info.noise_dim == 2 && info.t_end > 0.0 && (info.caps & RG_CAP_LINEAR) != 0);
  /* dX = -X dt + sqrt(2) dW: x1 has the mean x0 exp(-t) and the variance 1 - exp(-2 t). */
  CHECK(ou.drift(0.5, x)(1, 1) == -2.0);
  rg::matrix start(10000, 2);
  for (std::size_t i = 0; i < 20000; i++) start.data()[i] = 3.0;
  const auto later = ou.simulate(start, 0.0, 0.5);
  double sum = 0.0, squares = 0.0;
  const double mean = 3.0 * std::exp(-0.5), variance = 1.0 - std::exp(-1.0);
  for (std::size_t i = 0; i < 20000; i++) {
    sum += later.data()[i] - mean;
    squares += (later.data()[i] - mean) * (later.data()[i] - mean);
  }
  CHECK(std::abs(sum / 20000) < 5.0 * std::sqrt(variance / 20000));
  CHECK(std::abs(squares / 20000 - variance) < 5.0 * variance * std::sqrt(2.0 / 20000));
  const rg::target normal(cx, "standard-normal", "dim = 2");
  const rg::score exact(cx, "exact", "", &normal, &ou);
  CHECK(std::abs(exact.eval(0.5, x)(0, 0) + 1.0) < 1e-12);

  /* Jobs in a directory: stopped, taken up, complete. */
  if (argc > 1) {
    const std::string folder = argv[1], job = "seed = 5\ndraws = 400\n[sampler]\nkind = \"ula\"\n";
    rg::options o;
    o.draws = 0;
    const auto all_of_it = rg::run_job(cx, job, &points, folder + "/whole", o).draws();
    o.progress = [](const rg_progress &) { return false; };
    CHECK(!rg::run_job(cx, job, &points, folder + "/part", o).complete());
    CHECK(caught<rg::error>([&] { rg::run_job(cx, job, &points, folder + "/part", o); }).find("part") !=
          std::string::npos);
    for (int k = 0; k < 2; k++) {
      const auto resumed = rg::resume_job(cx, folder + "/part", &points).draws();
      CHECK(resumed.size() == 400);
      for (std::size_t i = 0; i < 800; i++) CHECK(resumed.data()[i] == all_of_it.data()[i]);
    }
    o.progress = nullptr;
    CHECK(rg::run_job(cx, job + "[target]\nkind = \"gmm40\"\n", nullptr, folder + "/own", o).complete());
  }
  std::puts("every class");
  return 0;
}
