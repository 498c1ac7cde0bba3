/* retrograde.h in C++17: objects that free themselves, lambdas as targets, exceptions.
 *
 *   #include <retrograde.hpp>
 *   retrograde::context cx;
 *   auto bowl = retrograde::target::of_points(cx, 2, [](auto x, auto grad) {
 *     if (!grad.empty()) grad[0] = -x[0], grad[1] = -x[1];
 *     return -0.5 * (x[0] * x[0] + x[1] * x[1]);
 *   });
 *   auto result = retrograde::sampler(cx, "smc", "", bowl).run();
 *   double log_z = result.scalar("log_z");
 *
 * Every function throws retrograde::error where that of the C interface returns a status; an exception that
 * leaves a lambda comes out of the call that was running as it is. Objects can be moved, not copied; they
 * keep what they were made from alive. Threads: as retrograde.h says of each function. */
#ifndef RETROGRADE_HPP
#define RETROGRADE_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <retrograde.h>

namespace retrograde {

/// What a function of the C interface said.
class error : public std::runtime_error {
public:
  error(rg_status status, const std::string &message, std::string detail)
      : std::runtime_error(message), status_(status), detail_(std::move(detail)) {}
  /// An RG_ERR_ code, or that of a callback.
  rg_status status() const noexcept { return status_; }
  /// The message and its causes, a line each.
  const std::string &detail() const noexcept { return detail_; }

private:
  rg_status status_;
  std::string detail_;
};

/// Numbers in a row, of somebody else.
template <class T> class span {
public:
  constexpr span() noexcept = default;
  constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }
  constexpr T *begin() const noexcept { return data_; }
  constexpr T *end() const noexcept { return data_ + size_; }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

/// Rows of somebody else, without gaps.
template <class T> class rows {
public:
  constexpr rows() noexcept = default;
  constexpr rows(T *data, std::size_t n, std::size_t d) noexcept : data_(data), n_(n), d_(d) {}
  /// Rows that may be changed, where they are only read.
  template <class U, class = std::enable_if_t<std::is_same<const U, T>::value>>
  constexpr rows(const rows<U> &other) noexcept : data_(other.data()), n_(other.size()), d_(other.dim()) {}
  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return n_; }
  constexpr std::size_t dim() const noexcept { return d_; }
  constexpr bool empty() const noexcept { return n_ == 0; }
  constexpr span<T> operator[](std::size_t i) const noexcept { return {data_ + i * d_, d_}; }
  constexpr T &operator()(std::size_t i, std::size_t j) const noexcept { return data_[i * d_ + j]; }

private:
  T *data_ = nullptr;
  std::size_t n_ = 0, d_ = 0;
};

/// Rows that are kept here.
class matrix {
public:
  matrix() = default;
  matrix(std::size_t n, std::size_t d) : values_(count(n, d)), n_(n), d_(d) {}
  std::size_t size() const noexcept { return n_; }
  std::size_t dim() const noexcept { return d_; }
  double *data() noexcept { return values_.data(); }
  const double *data() const noexcept { return values_.data(); }
  span<const double> operator[](std::size_t i) const noexcept { return {values_.data() + i * d_, d_}; }
  double operator()(std::size_t i, std::size_t j) const noexcept { return values_[i * d_ + j]; }
  double &operator()(std::size_t i, std::size_t j) noexcept { return values_[i * d_ + j]; }
  operator rows<const double>() const noexcept { return {values_.data(), n_, d_}; }

private:
  static std::size_t count(std::size_t n, std::size_t d) {
    if (d != 0 && n > std::vector<double>().max_size() / d) throw std::length_error("retrograde::matrix");
    return n * d;
  }
  std::vector<double> values_;
  std::size_t n_ = 0, d_ = 0;
};

namespace detail {

/// The last exception of a callback.
class thrown {
public:
  void keep(std::exception_ptr e) noexcept {
    const std::lock_guard<std::mutex> guard(lock_);
    last_ = std::move(e);
  }
  /// Throws it, if there is one. It stays: several threads may have run into it at once.
  void rethrow() const {
    std::exception_ptr e;
    {
      const std::lock_guard<std::mutex> guard(lock_);
      e = last_;
    }
    if (e) std::rethrow_exception(e);
  }

private:
  mutable std::mutex lock_;
  std::exception_ptr last_;
};
/// The callbacks that an object may call.
using kept = std::vector<std::shared_ptr<thrown>>;

template <class T> void join(kept &all, const T *part) {
  if (part != nullptr)
    for (const auto &one : part->exceptions())
      if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

/// Where a function puts its error.
class place {
public:
  place() = default;
  place(const place &) = delete;
  place &operator=(const place &) = delete;
  ~place() { rg_error_free(e_); }
  operator rg_error **() noexcept { return &e_; }
  /// Throws unless the function returned RG_OK: what a callback threw, or an error.
  void check(rg_status status, const kept &callbacks = {}) const {
    if (status == RG_OK) return;
    if (status == RG_ERR_CALLBACK)
      for (const auto &one : callbacks) one->rethrow();
    throw error(status, rg_error_message(e_), rg_error_detail(e_));
  }

private:
  rg_error *e_ = nullptr;
};

template <class T, void (*F)(T *)> struct freed {
  void operator()(T *object) const noexcept { F(object); }
};
template <class T, void (*F)(T *)> using handle = std::unique_ptr<T, freed<T, F>>;

/// A text whose length the library tells.
template <class F> std::string text(F fill) {
  std::size_t need = 0;
  fill(nullptr, 0, &need);
  std::string out(need, '\0');
  fill(&out[0], need, &need);
  out.resize(need == 0 ? 0 : need - 1);
  return out;
}

inline const char *or_null(const std::string &text) noexcept {
  return text.empty() ? nullptr : text.c_str();
}

template <class F> struct callback {
  F f;
  std::shared_ptr<thrown> error;
};

template <class F>
rg_status point(void *user, std::size_t d, const double *x, double *logp, double *grad) noexcept {
  auto *self = static_cast<callback<F> *>(user);
  try {
    const double l = self->f(span<const double>(x, d),
                             grad == nullptr ? span<double>() : span<double>(grad, d));
    if (logp != nullptr) *logp = l;
    return RG_OK;
  } catch (...) {
    self->error->keep(std::current_exception());
    return RG_ERR_CALLBACK;
  }
}

template <class F>
rg_status batch(void *user, std::size_t n, std::size_t d, const double *x, double *logp,
                double *grad) noexcept {
  auto *self = static_cast<callback<F> *>(user);
  try {
    self->f(rows<const double>(x, n, d), logp == nullptr ? span<double>() : span<double>(logp, n),
            grad == nullptr ? rows<double>() : rows<double>(grad, n, d));
    return RG_OK;
  } catch (...) {
    self->error->keep(std::current_exception());
    return RG_ERR_CALLBACK;
  }
}

template <class F> void dropped(void *user) noexcept { delete static_cast<callback<F> *>(user); }

} // namespace detail

/// The components that can be asked for by kind and name.
class context {
public:
  context() {
    char why[256];
    if (rg_check_abi(RG_ABI, RG_ABI_MINOR, why, sizeof why) != RG_OK)
      throw error(RG_ERR_ABI, why, why);
    rg_context *cx = nullptr;
    detail::place e;
    e.check(rg_context_new(&cx, e));
    cx_.reset(cx);
  }
  rg_context *get() const noexcept { return cx_.get(); }

  /// Loads a plugin.
  void load_plugin(const std::string &path) {
    detail::place e;
    e.check(rg_context_load_plugin(get(), path.c_str(), e));
  }
  /// Loads the plugins of a folder, or of the folders of the program; gives how many.
  std::size_t scan_plugins(const std::string &folder = "") {
    std::size_t n = 0;
    detail::place e;
    e.check(rg_context_scan_plugins(get(), detail::or_null(folder), &n, nullptr, e));
    return n;
  }
  /// Names of the components of a kind, an RG_KIND_ constant.
  std::vector<std::string> names(std::int32_t kind) const {
    std::size_t n = 0;
    detail::place e;
    e.check(rg_context_count(get(), kind, &n, e));
    std::vector<std::string> all;
    for (std::size_t i = 0; i < n; i++)
      all.push_back(detail::text([&](char *buf, std::size_t cap, std::size_t *need) {
        e.check(rg_context_name(get(), kind, i, buf, cap, need, e));
      }));
    return all;
  }
  /// A component as a JSON object.
  std::string describe(std::int32_t kind, const std::string &name) const {
    detail::place e;
    return detail::text([&](char *buf, std::size_t cap, std::size_t *need) {
      e.check(rg_context_describe(get(), kind, name.c_str(), buf, cap, need, e));
    });
  }

private:
  detail::handle<rg_context, rg_context_free> cx_;
};

/// A log density.
class target {
public:
  /// One of the registry, with settings in TOML.
  target(const context &cx, const std::string &name, const std::string &toml = "") {
    rg_target *t = nullptr;
    detail::place e;
    e.check(rg_target_new(cx.get(), name.c_str(), detail::or_null(toml), &t, e));
    t_.reset(t);
  }

  /// A function `double(span<const double> x, span<double> grad)`; `grad` is empty where it is not wanted.
  /// With `caps` 0 it gives no gradients; `threading` tells where it may be called: see rg_target_from_point.
  template <class F>
  static target of_points(const context &cx, std::size_t d, F f, std::uint64_t caps = RG_CAP_GRADIENT,
                          std::int32_t threading = RG_THREAD_CALLER) {
    target made;
    auto *user = new detail::callback<F>{std::move(f), std::make_shared<detail::thrown>()};
    made.thrown_ = {user->error};
    rg_target *t = nullptr;
    detail::place e;
    e.check(rg_target_from_point(cx.get(), d, detail::point<F>, user, detail::dropped<F>, caps, threading,
                                 &t, e));
    made.t_.reset(t);
    return made;
  }

  /// A function `void(rows<const double> x, span<double> logp, rows<double> grad)`; what is not wanted is
  /// empty. See rg_target_from_batch.
  template <class F>
  static target of_batches(const context &cx, std::size_t d, F f,
                           std::uint64_t caps = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC,
                           std::int32_t threading = RG_THREAD_CALLER) {
    target made;
    auto *user = new detail::callback<F>{std::move(f), std::make_shared<detail::thrown>()};
    made.thrown_ = {user->error};
    rg_target *t = nullptr;
    detail::place e;
    e.check(rg_target_from_batch(cx.get(), d, detail::batch<F>, user, detail::dropped<F>, caps, threading,
                                 &t, e));
    made.t_.reset(t);
    return made;
  }

  /// The same within limits, infinite where there is none; empty for no limits on that side.
  target bounded(const context &cx, const std::vector<double> &lower,
                 const std::vector<double> &upper) const {
    for (const auto *limits : {&lower, &upper})
      if (!limits->empty() && limits->size() != dim())
        throw error(RG_ERR_DIM, "limits: as many as dimensions, or none",
                    "limits: as many as dimensions, or none");
    target made;
    made.thrown_ = thrown_;
    rg_target *t = nullptr;
    detail::place e;
    e.check(rg_target_bounded(cx.get(), get(), lower.empty() ? nullptr : lower.data(),
                              upper.empty() ? nullptr : upper.data(), &t, e));
    made.t_.reset(t);
    return made;
  }

  rg_target *get() const noexcept { return t_.get(); }
  const detail::kept &exceptions() const noexcept { return thrown_; }
  std::size_t dim() const {
    std::size_t d = 0;
    detail::place e;
    e.check(rg_target_dim(get(), &d, e));
    return d;
  }
  /// Log densities, and gradients into `grad` if it is there.
  std::vector<double> eval(rows<const double> x, matrix *grad = nullptr) const {
    std::vector<double> l(x.size());
    if (grad != nullptr) *grad = matrix(x.size(), x.dim());
    detail::place e;
    e.check(rg_target_eval(get(), x.size(), x.dim(), x.data(), 0, l.data(),
                           grad == nullptr ? nullptr : grad->data(), 0, e),
            thrown_);
    return l;
  }
  /// Throws unless the gradient agrees with differences at these points.
  void check(rows<const double> x, double rtol = 1e-6) const {
    if (x.dim() != dim())
      throw error(RG_ERR_DIM, "check: points of another dimension", "check: points of another dimension");
    detail::place e;
    e.check(rg_target_check(get(), x.size(), x.data(), x.dim(), rtol, nullptr, 0, nullptr, e), thrown_);
  }

private:
  target() = default;
  detail::handle<rg_target, rg_target_free> t_;
  detail::kept thrown_;
};

/// A forward process.
class process {
public:
  /// One of the registry, for a target.
  process(const context &cx, const std::string &name, const std::string &toml, const target &t)
      : process(cx, name, toml, &t, 0) {}
  /// One of the registry, of a dimension.
  process(const context &cx, const std::string &name, const std::string &toml, std::size_t d)
      : process(cx, name, toml, nullptr, d) {}
  rg_process *get() const noexcept { return p_.get(); }
  const detail::kept &exceptions() const noexcept { return thrown_; }
  /// Dimensions of state and noise, the time at which the reference law holds, RG_CAP_ bits.
  struct properties {
    std::size_t dim = 0, noise_dim = 0;
    double t_end = 0.0;
    std::uint64_t caps = 0;
  };
  properties info() const {
    properties i;
    detail::place e;
    e.check(rg_process_info(get(), &i.dim, &i.noise_dim, &i.t_end, &i.caps, e));
    return i;
  }
  /// The drift at points at one time.
  matrix drift(double t, rows<const double> x) const {
    matrix f(x.size(), x.dim());
    detail::place e;
    e.check(rg_process_drift(get(), x.size(), x.dim(), &t, 0, x.data(), 0, f.data(), 0, e), thrown_);
    return f;
  }
  /// Draws at t1 given points at t0: by the transition where there is one, else in Euler-Maruyama steps.
  matrix simulate(rows<const double> x0, double t0, double t1, std::size_t steps = 100,
                  std::uint64_t seed = 0) const {
    matrix x1(x0.size(), x0.dim());
    detail::place e;
    e.check(rg_process_simulate(get(), seed, x0.size(), x0.dim(), t0, t1, steps, x0.data(), 0, x1.data(), 0, e),
            thrown_);
    return x1;
  }

private:
  process(const context &cx, const std::string &name, const std::string &toml, const target *t,
          std::size_t d) {
    rg_process *p = nullptr;
    detail::place e;
    e.check(rg_process_new(cx.get(), name.c_str(), detail::or_null(toml), t == nullptr ? nullptr : t->get(), d,
                           &p, e));
    p_.reset(p);
    detail::join(thrown_, t);
  }
  detail::handle<rg_process, rg_process_free> p_;
  detail::kept thrown_;
};

/// A score.
class score {
public:
  /// One of the registry; `t` and `p` may be null where it needs none.
  score(const context &cx, const std::string &name, const std::string &toml, const target *t,
        const process *p) {
    rg_score *s = nullptr;
    detail::place e;
    e.check(rg_score_new(cx.get(), name.c_str(), detail::or_null(toml), t == nullptr ? nullptr : t->get(),
                         p == nullptr ? nullptr : p->get(), &s, e));
    s_.reset(s);
    detail::join(thrown_, t);
    detail::join(thrown_, p);
  }
  rg_score *get() const noexcept { return s_.get(); }
  const detail::kept &exceptions() const noexcept { return thrown_; }
  /// The score at points at one time.
  matrix eval(double t, rows<const double> x, std::uint64_t seed = 0) const {
    matrix out(x.size(), x.dim());
    detail::place e;
    e.check(rg_score_eval(get(), seed, x.size(), x.dim(), &t, 0, x.data(), 0, out.data(), 0, e), thrown_);
    return out;
  }

private:
  detail::handle<rg_score, rg_score_free> s_;
  detail::kept thrown_;
};

/// A flag that stops runs.
class cancel {
public:
  cancel() {
    rg_cancel *c = nullptr;
    detail::place e;
    e.check(rg_cancel_new(&c, e));
    c_.reset(c);
  }
  void request() const noexcept { rg_cancel_request(get()); }
  rg_cancel *get() const noexcept { return c_.get(); }

private:
  detail::handle<rg_cancel, rg_cancel_free> c_;
};

/// How a run is run: see rg_run_options.
struct options {
  std::uint64_t seed = 0;
  /// 0 stands for 4000, and with the seed for those of a job.
  std::size_t draws = 0;
  std::uint32_t threads = 0;
  std::uint32_t flags = 0;
  /// Gives false to stop the run; called each `progress_ms` at most, 0 standing for 100.
  std::function<bool(const rg_progress &)> progress = nullptr;
  const retrograde::cancel *cancel = nullptr;
  std::uint32_t progress_ms = 0;
};

/// What a run gave.
class result {
public:
  explicit result(rg_result *r) noexcept : r_(r) {}
  rg_result *get() const noexcept { return r_.get(); }
  bool complete() const { return shape().complete != 0; }
  std::size_t chains() const { return shape().chains; }
  /// The draws, chain after chain; throws if the run was stopped.
  matrix draws() const {
    const sizes s = shape();
    return read(s.n, s.d, rg_result_draws);
  }
  /// What there is of a run that was stopped.
  matrix partial_draws() const {
    const sizes s = shape();
    return read(s.n, s.d, rg_result_partial_draws);
  }
  /// The outputs of the target.
  matrix outputs() const {
    const sizes s = shape();
    return read(s.n, s.k, rg_result_outputs);
  }
  std::vector<double> log_weights() const {
    std::vector<double> w(shape().n);
    detail::place e;
    e.check(rg_result_log_weights(get(), w.data(), w.size(), e));
    return w;
  }
  /// "log_z", "log_z_se", and what the sampler names.
  double scalar(const std::string &key) const {
    double value = 0.0;
    detail::place e;
    e.check(rg_result_scalar(get(), key.c_str(), &value, e));
    return value;
  }
  std::string json() const {
    detail::place e;
    return detail::text([&](char *buf, std::size_t cap, std::size_t *need) {
      e.check(rg_result_json(get(), buf, cap, need, e));
    });
  }

private:
  struct sizes {
    std::size_t chains = 0, n = 0, d = 0, k = 0;
    std::int32_t complete = 0;
  };
  sizes shape() const {
    sizes s;
    detail::place e;
    e.check(rg_result_shape(get(), &s.chains, &s.n, &s.d, &s.k, &s.complete, e));
    return s;
  }
  template <class F> matrix read(std::size_t n, std::size_t d, F f) const {
    matrix out(n, d);
    detail::place e;
    e.check(f(get(), out.data(), 0, n * d, e));
    return out;
  }
  detail::handle<rg_result, rg_result_free> r_;
};

namespace detail {

/// The options of C, and the exception of `progress`.
class running {
public:
  explicit running(const options &o) : progress_(o.progress) {
    rg_run_options init = RG_RUN_OPTIONS_INIT;
    given = init;
    given.seed = o.seed;
    given.n_draws = o.draws;
    given.n_threads = o.threads;
    given.flags = o.flags;
    given.progress_ms = o.progress_ms;
    given.cancel = o.cancel == nullptr ? nullptr : o.cancel->get();
    if (progress_) {
      given.progress = step;
      given.progress_user = this;
    }
  }
  running(const running &) = delete;
  running &operator=(const running &) = delete;
  /// A run that was stopped by its flag or its watcher is a result, not an error.
  result end(rg_status status, rg_result *r, const place &e, const kept &callback) {
    result made(r);
    thrown_.rethrow();
    if (status != RG_ERR_CANCELLED || r == nullptr) e.check(status, callback);
    return made;
  }
  rg_run_options given;

private:
  static std::int32_t step(void *user, const rg_progress *p) noexcept {
    auto *self = static_cast<running *>(user);
    try {
      return self->progress_(*p) ? 0 : 1;
    } catch (...) {
      self->thrown_.keep(std::current_exception());
      return 1;
    }
  }
  const std::function<bool(const rg_progress &)> &progress_;
  thrown thrown_;
};

} // namespace detail

/// A sampler with what it samples.
class sampler {
public:
  /// One of the registry; process and score may be null where it needs none.
  sampler(const context &cx, const std::string &name, const std::string &toml, const target &t,
          const process *p = nullptr, const score *s = nullptr)
      : sampler(cx, name, toml, &t, p, s) {}
  /// One of the registry that goes by process and score alone.
  sampler(const context &cx, const std::string &name, const std::string &toml, const process *p,
          const score *s)
      : sampler(cx, name, toml, static_cast<const target *>(nullptr), p, s) {}
  /// That of a job; a target takes the place of the job's own.
  static sampler of_job(const context &cx, const std::string &toml, const target *t = nullptr) {
    sampler made;
    detail::join(made.thrown_, t);
    rg_sampler *s = nullptr;
    detail::place e;
    e.check(rg_sampler_from_toml(cx.get(), toml.c_str(), t == nullptr ? nullptr : t->get(), &s, e),
            made.thrown_);
    made.s_.reset(s);
    return made;
  }
  /// Runs it. A run that was stopped gives a result that is not complete.
  result run(const options &o = {}) const {
    detail::running running(o);
    rg_result *r = nullptr;
    detail::place e;
    const rg_status status = rg_sampler_run(get(), &running.given, &r, e);
    return running.end(status, r, e, thrown_);
  }
  rg_sampler *get() const noexcept { return s_.get(); }

private:
  sampler() = default;
  sampler(const context &cx, const std::string &name, const std::string &toml, const target *t,
          const process *p, const score *s) {
    detail::join(thrown_, t);
    detail::join(thrown_, p);
    detail::join(thrown_, s);
    rg_sampler *made = nullptr;
    detail::place e;
    e.check(rg_sampler_new(cx.get(), name.c_str(), detail::or_null(toml), t == nullptr ? nullptr : t->get(),
                           p == nullptr ? nullptr : p->get(), s == nullptr ? nullptr : s->get(), &made, e),
            thrown_);
    s_.reset(made);
  }
  detail::handle<rg_sampler, rg_sampler_free> s_;
  detail::kept thrown_;
};

/// Runs a job in a directory: see rg_job_run. `t` takes the place of the job's own target, if it is there;
/// `o.draws` 0 stands for seed and draws of the job; "" for its directory.
inline result run_job(const context &cx, const std::string &toml, const target *t,
                      const std::string &directory, const options &o) {
  detail::running running(o);
  rg_result *r = nullptr;
  detail::place e;
  const rg_status status = rg_job_run(cx.get(), toml.c_str(), t == nullptr ? nullptr : t->get(),
                                      detail::or_null(directory), &running.given, &r, e);
  return running.end(status, r, e, t == nullptr ? detail::kept() : t->exceptions());
}

/// Goes on with the job of a directory: see rg_job_resume. `t`: as for run_job.
inline result resume_job(const context &cx, const std::string &directory, const target *t,
                         const options &o = {}) {
  detail::running running(o);
  rg_result *r = nullptr;
  detail::place e;
  const rg_status status =
      rg_job_resume(cx.get(), directory.c_str(), t == nullptr ? nullptr : t->get(), &running.given, &r, e);
  return running.end(status, r, e, t == nullptr ? detail::kept() : t->exceptions());
}

} // namespace retrograde

#endif
