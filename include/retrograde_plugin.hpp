/* retrograde plugins in C++17: classes instead of tables. Header only, over retrograde_plugin.h.
 *
 * A component is a class that derives from Target, Process, Score or Sampler, describes itself in a static
 * `about` and has the member functions of its kind, listed there. It throws what it likes: nothing but a
 * status crosses the boundary. Functions beyond the required ones are optional: those that the class has
 * become slots of its table, and one with a slot's name that cannot be called as the slot is does not
 * compile. A complete plugin, a density in a file `round.cpp`:
 *
 * ```cpp
 * #include <retrograde_plugin.hpp>
 *
 * using namespace retrograde::plugin;
 *
 * class Round : public Target {
 * public:
 *   static constexpr About about = About("round", "Normal law about 0 in any dimension")
 *                                      .caps(RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT)
 *                                      .threading(RG_THREAD_CONCURRENT);
 *
 *   static Parameters parameters() {
 *     return {
 *         integer("dim", "Dimension").min(1).max(10000).defaults_to(2),
 *         number("sd", "Standard deviation, > 0").min(0.0).defaults_to(1.0),
 *     };
 *   }
 *
 *   explicit Round(const Params &params)
 *       : dim_(params.size("dim")), precision_(1.0 / std::pow(params.number("sd"), 2.0)) {
 *     if (!std::isfinite(precision_) || precision_ <= 0.0)
 *       throw setting("sd", params.number("sd"), "above 0 and finite, its square too");
 *   }
 *
 *   std::size_t dim() const { return dim_; }
 *
 *   void eval(Call &, ConstMat x, Vec logp, Mat grad) const {
 *     for (std::size_t i = 0; i < x.rows(); i++) {
 *       double square = 0.0;
 *       for (std::size_t j = 0; j < dim_; j++) {
 *         square += x(i, j) * x(i, j);
 *         if (grad) grad(i, j) = -precision_ * x(i, j);
 *       }
 *       const double value = -0.5 * precision_ * square;
 *       if (logp) logp[i] = value;
 *       if (grad && std::isinf(value)) // no mass: the gradient is 0
 *         for (double &g : grad.row(i)) g = 0.0;
 *     }
 *   }
 *
 * private:
 *   std::size_t dim_;
 *   double precision_;
 * };
 *
 * RETROGRADE_PLUGIN("my-plugin", "0.1.0", "MIT", Round)
 * ```
 *
 * It is built by
 *
 *   c++ -std=c++17 -O2 -fPIC -shared -fvisibility=hidden -Iinclude round.cpp -o round.so
 *
 * and a job names it `kind = "my-plugin/round"`. More are in plugins/.
 *
 * Constructors. A component is made by C(params, parts, call), C(params, parts), C(params) or C(), the
 * first of them that there is: `const Params &` reads the parameters that were declared, `const Parts &`
 * has the target, the process and the score that `needs` asks for, `Call &` is the call.
 *
 * Threads. With RG_THREAD_CONCURRENT the member functions are called on a const object, on several threads
 * at once; with RG_THREAD_SERIAL, the default, on one at a time.
 *
 * Errors. An Error gives its status and text, std::bad_alloc RG_ERR_MEMORY, any other exception
 * RG_ERR_CALLBACK with what() as the text. It compiles with -fno-rtti, but not without exceptions.
 */

#ifndef RETROGRADE_PLUGIN_HPP
#define RETROGRADE_PLUGIN_HPP

#include "retrograde_plugin.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(_WIN32)
#define RETROGRADE_PLUGIN_EXPORT __declspec(dllexport)
#define RETROGRADE_PLUGIN_HIDDEN
#else
#define RETROGRADE_PLUGIN_EXPORT __attribute__((visibility("default")))
#define RETROGRADE_PLUGIN_HIDDEN __attribute__((visibility("hidden")))
#endif

namespace retrograde {
/* Hidden, so that two plugins in one program never share a table or a pointer, whatever the options. */
namespace plugin RETROGRADE_PLUGIN_HIDDEN {

/* ------------------------------------------------------------------------------------------- Arrays */

/* n numbers that belong to the host. It is false where an output is not wanted (a NULL pointer). */
template <class T> class Array {
public:
  constexpr Array() = default;
  constexpr Array(T *data, std::size_t size) : data_(data), size_(size) {}
  template <class U, class = std::enable_if_t<std::is_same<const U, T>::value && !std::is_same<U, T>::value>>
  constexpr Array(const Array<U> &other) : data_(other.data()), size_(other.size()) {}

  constexpr explicit operator bool() const { return data_ != nullptr; }
  constexpr std::size_t size() const { return size_; }
  constexpr T *data() const { return data_; }
  constexpr T &operator[](std::size_t i) const { return data_[i]; }
  constexpr T *begin() const { return data_; }
  constexpr T *end() const { return data_ == nullptr ? nullptr : data_ + size_; }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

/* rows x cols numbers, row-major without gaps. It is false where an output is not wanted. */
template <class T> class Matrix {
public:
  constexpr Matrix() = default;
  constexpr Matrix(T *data, std::size_t rows, std::size_t cols) : data_(data), rows_(rows), cols_(cols) {}
  template <class U, class = std::enable_if_t<std::is_same<const U, T>::value && !std::is_same<U, T>::value>>
  constexpr Matrix(const Matrix<U> &other) : data_(other.data()), rows_(other.rows()), cols_(other.cols()) {}

  constexpr explicit operator bool() const { return data_ != nullptr; }
  constexpr std::size_t rows() const { return rows_; }
  constexpr std::size_t cols() const { return cols_; }
  constexpr T *data() const { return data_; }
  constexpr T &operator()(std::size_t i, std::size_t j) const { return data_[i * cols_ + j]; }
  constexpr Array<T> row(std::size_t i) const { return Array<T>(data_ + i * cols_, cols_); }
  /* All numbers, row after row. */
  constexpr Array<T> flat() const { return Array<T>(data_, rows_ * cols_); }
  /* `count` rows from `first` on; nothing stays nothing. */
  constexpr Matrix part(std::size_t first, std::size_t count) const {
    return Matrix(data_ == nullptr ? nullptr : data_ + first * cols_, count, cols_);
  }

private:
  T *data_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

using Vec = Array<double>;
using ConstVec = Array<const double>;
using Mat = Matrix<double>;
using ConstMat = Matrix<const double>;

/* The time of each row: the same for all of them, or one for each. */
class Times {
public:
  constexpr Times(const double *t, std::size_t stride) : t_(t), stride_(stride) {}
  constexpr double operator[](std::size_t row) const { return t_[row * stride_]; }
  constexpr bool shared() const { return stride_ == 0; }
  constexpr const double *data() const { return t_; }
  constexpr std::size_t stride() const { return stride_; }
  constexpr Times part(std::size_t first) const { return Times(t_ + first * stride_, stride_); }

private:
  const double *t_;
  std::size_t stride_;
};

/* ------------------------------------------------------------------------------------------- Errors */

/* A failure with a status, RG_ERR_, and a sentence: what is wrong, the value given, what would be right. */
class Error : public std::runtime_error {
public:
  Error(rg_status code, const std::string &text) : std::runtime_error(text), code_(code) {}
  rg_status code() const noexcept { return code_; }

private:
  rg_status code_;
};

/* A failure that the host knows the reason of already: a function of the host, or of another component,
 * returned this status. */
class Failed : public std::exception {
public:
  explicit Failed(rg_status code) noexcept : code_(code) {}
  rg_status code() const noexcept { return code_; }
  const char *what() const noexcept override { return "a function of the host failed"; }

private:
  rg_status code_;
};

namespace detail {

inline const rg_host *host = nullptr;

inline void check(rg_status status) {
  if (status != RG_OK) throw Failed(status);
}

/* A number in the shortest form that is read back as the same, in the grammar of TOML. */
inline std::string text_of(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0.0 ? "inf" : "-inf";
  char buffer[40];
  for (int digits = 15; digits <= 17; digits++) {
    std::snprintf(buffer, sizeof buffer, "%.*g", digits, value);
    if (std::strtod(buffer, nullptr) == value) break;
  }
  std::string text = buffer;
  for (char &c : text)
    if (c == ',') c = '.'; // some locales
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

inline std::string text_of(std::int64_t value) { return std::to_string(value); }
inline std::string text_of(bool value) { return value ? "true" : "false"; }

inline std::string text_of(const std::string &value) {
  std::string text = "\"";
  for (const char c : value) {
    const unsigned char code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (code < 0x20 || code == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(code));
      text += escape;
    } else {
      text += c;
    }
  }
  return text + '"';
}

inline std::string text_of(const std::vector<double> &values) {
  std::string text = "[";
  for (const double value : values) text += (text.size() > 1 ? ", " : "") + text_of(value);
  return text + "]";
}

template <class T> std::string any_text(const T &value) {
  if constexpr (std::is_same<T, bool>::value)
    return text_of(value);
  else if constexpr (std::is_integral<T>::value)
    return text_of(static_cast<std::int64_t>(value));
  else if constexpr (std::is_floating_point<T>::value)
    return text_of(static_cast<double>(value));
  else if constexpr (std::is_convertible<T, std::string>::value)
    return text_of(std::string(value));
  else
    return text_of(std::vector<double>(value));
}

constexpr bool is_name(const char *name, bool key = false) {
  if (name == nullptr || *name < 'a' || *name > 'z') return false;
  for (const char *c = name; *c != '\0'; c++)
    if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == (key ? '_' : '-'))) return false;
  return true;
}

} // namespace detail

/* A parameter that is wrong: its key, what was given, and what it must be. Thrown in a constructor, or in
 * `start` of a sampler, it is shown with its place in the job. */
class Setting : public Error {
public:
  Setting(std::string key, std::string given, std::string allowed)
      : Error(RG_ERR_CONFIG, "`" + key + "` is " + given + ": it must be " + allowed), key_(std::move(key)),
        given_(std::move(given)), allowed_(std::move(allowed)) {}
  const std::string &key() const noexcept { return key_; }
  const std::string &given() const noexcept { return given_; }
  const std::string &allowed() const noexcept { return allowed_; }

private:
  std::string key_, given_, allowed_;
};

/* For a parameter that the declared range lets pass but that is wrong all the same: throw
 * setting("nu", nu, "above 2, where the variance is finite"). */
template <class T> Setting setting(const std::string &key, const T &given, const std::string &allowed) {
  return Setting(key, detail::any_text(given), allowed);
}

/* --------------------------------------------------------------------------------------------- Calls */

class Call;

namespace detail {

/* Runs `work`, which may throw, and gives the status: nothing is thrown on. */
template <class F> rg_status guard(rg_call *raw, F &&work) noexcept;

} // namespace detail

/* One call on one thread; see rg_call. Never keep it. */
class Call {
public:
  explicit Call(rg_call *raw) noexcept : raw_(raw) {}
  Call(const Call &) = delete;
  Call &operator=(const Call &) = delete;

  rg_call *raw() const noexcept { return raw_; }

  /* Says something to the person. */
  void error(const std::string &text) { log(0, text); }
  void warn(const std::string &text) { log(1, text); }
  void info(const std::string &text) { log(2, text); }
  void debug(const std::string &text) { log(3, text); }

  /* Whether the run was asked to stop. */
  bool cancelled() const { return detail::host->cancelled(raw_) != 0; }
  /* Throws if it was: for long loops. */
  void check_cancelled() const {
    if (cancelled()) throw Error(RG_ERR_CANCELLED, "the run was cancelled");
  }

  /* Memory for `size` numbers, of unspecified content, until the call returns. */
  template <class T = double> Array<T> scratch(std::size_t size) {
    static_assert(std::is_trivially_copyable<T>::value && std::is_trivially_destructible<T>::value,
                  "scratch is for plain numbers");
    if (size > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = size == 0 ? 1 : size * sizeof(T);
    void *memory = detail::host->scratch(raw_, bytes, alignof(T) < 8 ? 8 : alignof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return Array<T>(static_cast<T *>(memory), size);
  }
  Mat scratch(std::size_t rows, std::size_t cols) {
    if (cols != 0 && rows > std::numeric_limits<std::size_t>::max() / cols) throw std::bad_alloc();
    return Mat(scratch<double>(rows * cols).data(), rows, cols);
  }

  /* Random numbers: 64 bits each; uniform in the open interval (0, 1); standard normal. A row's numbers
   * are the same whether a batch is split or not. A Vec is a batch of rows of one number. */
  void bits(Array<std::uint64_t> out) { detail::host->rng_u64(raw_, out.data(), out.size()); }
  void uniform(Mat out) { detail::host->rng_uniform(raw_, out.rows(), out.cols(), out.data()); }
  void uniform(Vec out) { uniform(Mat(out.data(), out.size(), 1)); }
  void normal(Mat out) { detail::host->rng_normal(raw_, out.rows(), out.cols(), out.data()); }
  void normal(Vec out) { normal(Mat(out.data(), out.size(), 1)); }

  /* Calls work(child, first, count) on blocks of rows that together are 0 .. n, on the threads of the
   * host. `child` is the call to use there. What a block throws makes this throw, once all are done. */
  template <class F> void for_rows(std::size_t n, F &&work) {
    using Work = std::remove_reference_t<F>;
    const rg_rows_fn block = [](void *user, rg_call *child, std::size_t first, std::size_t count) noexcept {
      return detail::guard(child,
                           [&](Call &call) { (*static_cast<Work *>(user))(call, first, count); });
    };
    detail::check(detail::host->for_rows(raw_, n, block, address(work)));
  }

  /* Calls work(child, job) for each job below `jobs`, likewise. */
  template <class F> void for_jobs(std::size_t jobs, F &&work) {
    using Work = std::remove_reference_t<F>;
    const rg_job_fn one = [](void *user, rg_call *child, std::size_t job) noexcept {
      return detail::guard(child, [&](Call &call) { (*static_cast<Work *>(user))(call, job); });
    };
    detail::check(detail::host->for_jobs(raw_, jobs, one, address(work)));
  }

  /* Where the call stands in the random streams of the run, and to make it stand elsewhere. */
  rg_frame tell() const {
    rg_frame frame{};
    frame.struct_size = sizeof frame;
    detail::check(detail::host->tell(raw_, &frame));
    return frame;
  }
  void seek(const rg_frame &frame) { detail::check(detail::host->seek(raw_, &frame)); }

  /* What a person must know: an RG_SEVERITY_, a short key, a sentence, and what to try. In `flags` and in
   * `step` of a sampler. */
  void flag(std::int32_t severity, const std::string &key, const std::string &text,
            const std::string &advice = "") {
    detail::check(detail::host->flag(raw_, severity, key.c_str(), text.c_str(), advice.c_str()));
  }

private:
  void log(std::int32_t level, const std::string &text) { detail::host->log(raw_, level, text.c_str()); }
  template <class W> static void *address(W &work) {
    return const_cast<void *>(static_cast<const void *>(std::addressof(work)));
  }

  rg_call *raw_;
};

namespace detail {

/* Tells by its parts which parameter is wrong, so that the person is shown its place. */
[[noreturn]] inline void refuse(rg_call *raw, const Setting &e) {
  throw Failed(host->cfg_refuse(raw, e.key().c_str(), e.given().c_str(), e.allowed().c_str()));
}

template <class F> rg_status guard(rg_call *raw, F &&work) noexcept {
  const auto fail = [raw](rg_status code, const char *text) { return host->fail(raw, code, text); };
  try {
    Call call(raw);
    work(call);
    return RG_OK;
  } catch (const Failed &e) {
    return e.code();
  } catch (const Error &e) {
    return fail(e.code() == RG_OK ? RG_ERR_CALLBACK : e.code(), e.what());
  } catch (const std::bad_alloc &) {
    return fail(RG_ERR_MEMORY, "memory could not be had");
  } catch (const std::exception &e) {
    return fail(RG_ERR_CALLBACK, e.what());
  } catch (...) {
    return fail(RG_ERR_CALLBACK, "an exception that is no std::exception was thrown");
  }
}

} // namespace detail

/* The call of a sampler's step. */
class Step : public Call {
public:
  using Call::Call;

  /* How much is done, 0 to 1. */
  void progress(double fraction) { detail::check(detail::host->progress(raw(), fraction)); }
  /* Before the first draw: row i of every batch is of chain i mod `chains`. */
  void set_chains(std::size_t chains) { detail::check(detail::host->set_chains(raw(), chains)); }

  /* Hands draws over, with unnormalised log weights unless they are equal. */
  void emit(ConstMat x, ConstVec log_w = {}) {
    need(log_w, x.rows(), "log weights");
    detail::check(detail::host->emit(raw(), x.rows(), x.cols(), x.data(), log_w.data()));
  }
  /* With statistics of each draw, such as {"lp", log densities}. */
  void emit(ConstMat x, ConstVec log_w, const std::vector<std::pair<const char *, ConstVec>> &stats) {
    need(log_w, x.rows(), "log weights");
    std::vector<const char *> names;
    std::vector<const double *> values;
    for (const auto &stat : stats) {
      need(stat.second, x.rows(), stat.first);
      names.push_back(stat.first);
      values.push_back(stat.second.data());
    }
    detail::check(detail::host->emit_stats(raw(), x.rows(), x.cols(), x.data(), log_w.data(), stats.size(),
                                           names.data(), values.data()));
  }
  /* A number that sums the run up, such as "log_z"; the last value holds. */
  void scalar(const std::string &key, double value) {
    detail::check(detail::host->emit_scalar(raw(), key.c_str(), value));
  }
  /* A row of a table of the report; the columns are the same each time. */
  void record(const std::string &table, const std::vector<std::pair<const char *, double>> &row) {
    std::vector<const char *> columns;
    std::vector<double> values;
    for (const auto &cell : row) {
      columns.push_back(cell.first);
      values.push_back(cell.second);
    }
    detail::check(
        detail::host->record(raw(), table.c_str(), row.size(), columns.data(), values.data()));
  }

private:
  static void need(ConstVec values, std::size_t rows, const char *what) {
    if (values && values.size() != rows)
      throw Error(RG_ERR_DIM, std::string(what) + ": " + std::to_string(values.size()) +
                                  " numbers for " + std::to_string(rows) + " draws");
  }
};

/* ---------------------------------------------------------------------------------------- Parameters */

/* A parameter that a component declares; made by number, integer, boolean, text and numbers. One without
 * a default must be given in the job. */
class Param {
public:
  Param(std::int32_t type, std::string name, std::string doc)
      : type_(type), name_(std::move(name)), doc_(std::move(doc)) {}

  /* The range, ends included, of the number or of each element of a list. */
  Param min(double least) const { return with([&](Param &p) { p.min_ = least; }); }
  Param max(double most) const { return with([&](Param &p) { p.max_ = most; }); }
  /* The texts that are allowed. */
  Param choices(std::vector<std::string> texts) const {
    return with([&](Param &p) { p.choices_ = std::move(texts); });
  }
  template <class T> Param defaults_to(const T &value) const {
    std::string toml;
    if constexpr (std::is_arithmetic<T>::value && !std::is_same<T, bool>::value)
      toml = type_ == RG_TYPE_F64 ? detail::text_of(static_cast<double>(value)) : detail::any_text(value);
    else
      toml = detail::any_text(value);
    return with([&](Param &p) { p.default_ = toml, p.required_ = false; });
  }
  Param defaults_to(std::initializer_list<double> values) const {
    return defaults_to(std::vector<double>(values));
  }

private:
  template <class F> Param with(F change) const {
    Param copy = *this;
    change(copy);
    return copy;
  }

  std::int32_t type_;
  std::string name_, doc_, default_;
  bool required_ = true;
  double min_ = -std::numeric_limits<double>::infinity();
  double max_ = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices_;

  friend class ParamTables;
};

using Parameters = std::vector<Param>;

inline Param number(std::string name, std::string doc) { return {RG_TYPE_F64, std::move(name), std::move(doc)}; }
inline Param integer(std::string name, std::string doc) { return {RG_TYPE_I64, std::move(name), std::move(doc)}; }
inline Param boolean(std::string name, std::string doc) { return {RG_TYPE_BOOL, std::move(name), std::move(doc)}; }
inline Param text(std::string name, std::string doc) { return {RG_TYPE_STR, std::move(name), std::move(doc)}; }
inline Param numbers(std::string name, std::string doc) { return {RG_TYPE_F64S, std::move(name), std::move(doc)}; }

/* The parameters of a job, checked against what the component declares. In a constructor only. */
class Params {
public:
  Params(rg_call *call, const rg_cfg *cfg) : call_(call), cfg_(cfg) {}
  Params(const Params &) = delete;
  Params &operator=(const Params &) = delete;

  double number(const char *key) const {
    double value = 0.0;
    detail::check(detail::host->cfg_f64(call_, cfg_, key, &value));
    return value;
  }
  std::int64_t integer(const char *key) const {
    std::int64_t value = 0;
    detail::check(detail::host->cfg_i64(call_, cfg_, key, &value));
    return value;
  }
  /* A whole number that is not negative. */
  std::size_t size(const char *key) const {
    const std::int64_t value = integer(key);
    if (value < 0) throw setting(key, value, "0 or more");
    return static_cast<std::size_t>(value);
  }
  bool boolean(const char *key) const {
    std::int32_t value = 0;
    detail::check(detail::host->cfg_bool(call_, cfg_, key, &value));
    return value != 0;
  }
  std::string text(const char *key) const {
    const char *value = nullptr;
    detail::check(detail::host->cfg_str(call_, cfg_, key, &value));
    return value;
  }
  std::vector<double> numbers(const char *key) const {
    const double *values = nullptr;
    std::size_t n = 0;
    detail::check(detail::host->cfg_f64s(call_, cfg_, key, &values, &n));
    return n == 0 ? std::vector<double>() : std::vector<double>(values, values + n);
  }
  /* All of them, as TOML. */
  std::string toml() const {
    const char *value = nullptr;
    detail::check(detail::host->cfg_toml(call_, cfg_, &value));
    return value;
  }
  /* The bytes of a file that a parameter names, relative to the job. */
  std::string file(const std::string &path) const {
    const std::uint8_t *bytes = nullptr;
    std::size_t n = 0;
    detail::check(detail::host->read_file(call_, path.c_str(), &bytes, &n));
    return n == 0 ? std::string() : std::string(reinterpret_cast<const char *>(bytes), n);
  }

private:
  rg_call *call_;
  const rg_cfg *cfg_;
};

/* --------------------------------------------------------------------------------- Other components */

namespace detail {

/* A component that another is built with. */
template <class Table> class Ref {
public:
  explicit Ref(const rg_ref &ref) : object_(ref.object), table_(static_cast<const Table *>(ref.vtable)) {}

  /* Whether it has a slot: target.has(&rg_target_vtable::hvp). */
  template <class F> bool has(F Table::*slot) const {
    const char *at = reinterpret_cast<const char *>(&(table_->*slot));
    const std::size_t offset = static_cast<std::size_t>(at - reinterpret_cast<const char *>(table_));
    return table_->struct_size >= offset + sizeof(F) && table_->*slot != nullptr;
  }
  /* Calls a slot: process.invoke(&rg_process_vtable::drift, call, n, d, &t, 0, x, f). Throws if it fails
   * or is not there. */
  template <class F, class... Args> void invoke(F Table::*slot, const Call &call, Args... args) const {
    if (!has(slot))
      throw Error(RG_ERR_UNSUPPORTED, "a component that this one is built with lacks an ability it needs");
    check((table_->*slot)(object_, call.raw(), args...));
  }
  std::uint64_t caps() const { return table_->caps; }
  bool can(std::uint64_t caps) const { return (table_->caps & caps) == caps; }
  /* Whether blocks of rows may be evaluated on several threads at once. */
  bool splits() const { return can(RG_CAP_ROWWISE) && table_->threading == RG_THREAD_CONCURRENT; }
  const Table &table() const { return *table_; }
  void *object() const { return object_; }

protected:
  /* Calls work(call, first, count) on all rows, on the threads of the host if that is allowed. */
  template <class F> void spread(Call &call, std::size_t n, F &&work) const {
    if (splits())
      call.for_rows(n, work);
    else
      work(call, 0, n);
  }
  template <class G> static std::string words(G &&write) {
    std::size_t need = 0;
    write(nullptr, std::size_t(0), &need);
    std::vector<char> buffer(need + 1, '\0');
    write(buffer.data(), buffer.size(), &need);
    return std::string(buffer.data());
  }

private:
  void *object_;
  const Table *table_;
};

} // namespace detail

/* The target that a component is built with. */
class TargetRef : public detail::Ref<rg_target_vtable> {
public:
  using Ref::Ref;
  bool has_density() const { return !can(RG_CAP_NO_DENSITY); }
  bool has_gradient() const { return can(RG_CAP_GRADIENT); }
  std::size_t dim(const Call &call) const {
    std::size_t d = 0;
    invoke(&rg_target_vtable::dim, call, &d);
    return d;
  }
  /* Log densities and gradients; an empty output is not wanted. On the threads of the host where the
   * target allows it. */
  void eval(Call &call, ConstMat x, Vec logp, Mat grad) const {
    spread(call, x.rows(), [&](Call &child, std::size_t first, std::size_t count) {
      const ConstMat part = x.part(first, count);
      invoke(&rg_target_vtable::eval, child, count, x.cols(), part.data(),
             logp ? logp.data() + first : nullptr, grad.part(first, count).data());
    });
  }
  void hvp(Call &call, ConstMat x, ConstMat v, Mat out) const {
    spread(call, x.rows(), [&](Call &child, std::size_t first, std::size_t count) {
      invoke(&rg_target_vtable::hvp, child, count, x.cols(), x.part(first, count).data(),
             v.part(first, count).data(), out.part(first, count).data());
    });
  }
  std::string name(const Call &call, std::size_t i) const {
    return words([&](char *buf, std::size_t cap, std::size_t *need) {
      invoke(&rg_target_vtable::name, call, i, buf, cap, need);
    });
  }
};

/* The process that a component is built with. Slots without a function here are called by `invoke`. */
class ProcessRef : public detail::Ref<rg_process_vtable> {
public:
  using Ref::Ref;
  struct Info {
    std::size_t dim, noise_dim;
    double t_end;
  };
  Info info(const Call &call) const {
    Info info{};
    invoke(&rg_process_vtable::info, call, &info.dim, &info.noise_dim, &info.t_end);
    return info;
  }
  void drift(const Call &call, Times t, ConstMat x, Mat f) const {
    invoke(&rg_process_vtable::drift, call, x.rows(), x.cols(), t.data(), t.stride(), x.data(), f.data());
  }
  void apply_g(const Call &call, Times t, ConstMat x, ConstMat z, Mat out) const {
    invoke(&rg_process_vtable::apply_g, call, x.rows(), x.cols(), z.cols(), t.data(), t.stride(), x.data(),
           z.data(), out.data());
  }
  void apply_ggt(const Call &call, Times t, ConstMat x, ConstMat v, Mat out) const {
    invoke(&rg_process_vtable::apply_ggt, call, x.rows(), x.cols(), t.data(), t.stride(), x.data(), v.data(),
           out.data());
  }
  /* The divergence of G G', 0 where G does not depend on x. */
  void div_ggt(const Call &call, Times t, ConstMat x, Mat out) const {
    if (!has(&rg_process_vtable::div_ggt) && can(RG_CAP_G_CONST_X))
      for (double &value : out.flat()) value = 0.0;
    else
      invoke(&rg_process_vtable::div_ggt, call, x.rows(), x.cols(), t.data(), t.stride(), x.data(),
             out.data());
  }
  void ref_sample(const Call &call, Mat x) const {
    invoke(&rg_process_vtable::ref_sample, call, x.rows(), x.cols(), x.data());
  }
  void ref_eval(const Call &call, ConstMat x, Vec logp, Mat grad) const {
    invoke(&rg_process_vtable::ref_eval, call, x.rows(), x.cols(), x.data(), logp.data(), grad.data());
  }
  void transition_sample(const Call &call, double s, double t, ConstMat xs, Mat xt) const {
    invoke(&rg_process_vtable::transition_sample, call, xs.rows(), xs.cols(), s, t, xs.data(), xt.data());
  }
  void transition_score(const Call &call, double s, double t, ConstMat xs, ConstMat xt, Vec logp,
                        Mat grad) const {
    invoke(&rg_process_vtable::transition_score, call, xs.rows(), xs.cols(), s, t, xs.data(), xt.data(),
           logp.data(), grad.data());
  }
};

/* The score that a component is built with. */
class ScoreRef : public detail::Ref<rg_score_vtable> {
public:
  using Ref::Ref;
  std::size_t dim(const Call &call) const {
    std::size_t d = 0;
    invoke(&rg_score_vtable::dim, call, &d);
    return d;
  }
  /* On the threads of the host where the score allows it. */
  void eval(Call &call, Times t, ConstMat x, Mat s) const {
    spread(call, x.rows(), [&](Call &child, std::size_t first, std::size_t count) {
      const Times times = t.part(first);
      invoke(&rg_score_vtable::eval, child, count, x.cols(), times.data(), times.stride(),
             x.part(first, count).data(), s.part(first, count).data());
    });
  }
  void log_marginal(const Call &call, Times t, ConstMat x, Vec out) const {
    invoke(&rg_score_vtable::log_marginal, call, x.rows(), x.cols(), t.data(), t.stride(), x.data(),
           out.data());
  }
};

/* What a component is built with, as its `needs` say. A component may keep the references. */
class Parts {
public:
  explicit Parts(const rg_deps *deps) : deps_(deps) {}
  Parts(const Parts &) = delete;
  Parts &operator=(const Parts &) = delete;

  /* Dimension of the job, 0 while there is no target. */
  std::size_t dim() const { return deps_ == nullptr ? 0 : deps_->dim; }
  bool has_target() const { return deps_ != nullptr && deps_->target != nullptr; }
  bool has_process() const { return deps_ != nullptr && deps_->process != nullptr; }
  bool has_score() const { return deps_ != nullptr && deps_->score != nullptr; }
  TargetRef target() const { return TargetRef(given(has_target() ? deps_->target : nullptr, "target")); }
  ProcessRef process() const { return ProcessRef(given(has_process() ? deps_->process : nullptr, "process")); }
  ScoreRef score() const { return ScoreRef(given(has_score() ? deps_->score : nullptr, "score")); }

private:
  static const rg_ref &given(const rg_ref *ref, const char *what) {
    if (ref == nullptr)
      throw Error(RG_ERR_CONFIG, std::string("it needs a ") + what + ", and the job has none");
    return *ref;
  }

  const rg_deps *deps_;
};

/* ----------------------------------------------------------------------------------------- Components */

/* What a component says of itself: its name (a small letter, then small letters, digits and `-`) and what
 * it is, in a sentence. */
class About {
public:
  constexpr About(const char *name, const char *doc) : name_(name), doc_(doc) {}
  /* RG_NEEDS_ constants. */
  constexpr About needs(std::uint32_t needs) const {
    About copy = *this;
    copy.needs_ = needs;
    return copy;
  }
  /* RG_CAP_ constants. */
  constexpr About caps(std::uint64_t caps) const {
    About copy = *this;
    copy.caps_ = caps;
    return copy;
  }
  /* RG_THREAD_SERIAL, the default, or RG_THREAD_CONCURRENT. */
  constexpr About threading(std::int32_t kind) const {
    About copy = *this;
    copy.threading_ = kind;
    return copy;
  }
  /* Its version, where it is not that of the plugin. */
  constexpr About version(const char *text) const {
    About copy = *this;
    copy.version_ = text;
    return copy;
  }

  const char *name_, *doc_, *version_ = nullptr;
  std::uint32_t needs_ = 0;
  std::uint64_t caps_ = 0;
  std::int32_t threading_ = RG_THREAD_SERIAL;
};

/* A density known up to a constant; see rg_target_vtable.
 *
 *   std::size_t dim();
 *   void eval(Call &, ConstMat x, Vec logp, Mat grad);         either output may be empty: not wanted
 * optional:
 *   void hvp(Call &, ConstMat x, ConstMat v, Mat out);
 *   std::string name(std::size_t i);                           of coordinate i
 *   std::size_t n_outputs();                                   these three together
 *   std::string output_name(std::size_t i);
 *   void outputs(Call &, ConstMat x, Mat out);
 */
class Target {
public:
  static constexpr std::int32_t kind = RG_KIND_TARGET;
};

/* A diffusion; see rg_process_vtable.
 *
 *   std::size_t dim();
 *   double t_end();
 *   void drift(Call &, Times, ConstMat x, Mat f);
 *   void apply_g(Call &, Times, ConstMat x, ConstMat z, Mat out);
 *   void apply_ggt(Call &, Times, ConstMat x, ConstMat v, Mat out);
 *   void ref_sample(Call &, Mat x);
 *   void ref_eval(Call &, ConstMat x, Vec logp, Mat grad);
 * optional:
 *   std::size_t noise_dim();                                   else dim()
 *   void div_ggt(Call &, Times, ConstMat x, Mat out);          unless RG_CAP_G_CONST_X
 *   void linear(Call &, double t, Vec alpha, Vec sigma2);      with one of RG_CAP_LINEAR, _DIAG, _DENSE
 *   void transition_sample(Call &, double s, double t, ConstMat xs, Mat xt);           these two together
 *   void transition_score(Call &, double s, double t, ConstMat xs, ConstMat xt, Vec logp, Mat grad_xt);
 *   void drift_vjp(Call &, Times, ConstMat x, ConstMat u, Mat out);
 *   void drift_jvp(Call &, Times, ConstMat x, ConstMat v, Mat out);
 *   void drift_div(Call &, Times, ConstMat x, Vec out);
 *   double int_g2(Call &, double s, double t);
 *   double time_of(Call &, double level, double t_end);        with RG_CAP_LINEAR
 *   void forward_map(Call &, double s, double t, ConstMat r, ConstMat z, Mat x);       these two together
 *   void solve_noise(Call &, double s, double t, ConstMat r, ConstMat x, Mat z);
 *   void restore(Call &, double t, double back, ConstMat x, ConstMat score, Mat r);
 *   void warp(Call &, ConstMat x, Mat y, Vec log_det);         these three, with RG_CAP_WARPED
 *   void unwarp(Call &, ConstMat y, Mat x);
 *   void warp_score(Call &, ConstMat x, ConstMat sy, Mat sx);
 *   void cdf(Call &, double s, double t, ConstVec r, ConstVec x, Vec p);               these two together
 *   void quantile(Call &, double s, double t, ConstVec r, ConstVec p, Vec x);
 *   std::pair<double, double> support();
 *   void flags(Call &);
 *
 * Objects of a dimension other than 1 get a table without cdf and quantile.
 */
class Process {
public:
  static constexpr std::int32_t kind = RG_KIND_PROCESS;
};

/* The gradient of log p_t; see rg_score_vtable.
 *
 *   std::size_t dim();
 *   void eval(Call &, Times, ConstMat x, Mat s);
 * optional:
 *   void jvp(Call &, std::size_t k, Times, ConstMat x, ConstMat v, Mat out);    v and out are n x (k d)
 *   void log_marginal(Call &, Times, ConstMat x, Vec out);
 *   void flags(Call &);
 */
class Score {
public:
  static constexpr std::int32_t kind = RG_KIND_SCORE;
};

/* Whether a sampler goes on. */
enum class Flow { more, done };

/* Takes down the state of a run, number by number. */
class Writer {
public:
  Writer(std::uint8_t *buffer, std::size_t capacity) : buffer_(buffer), capacity_(capacity) {}
  void put(std::uint64_t value) {
    for (int i = 0; i < 8; i++) byte(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void put(double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    put(bits);
  }
  /* Its length, and its elements. */
  void put(const std::vector<double> &values) {
    put(static_cast<std::uint64_t>(values.size()));
    for (const double value : values) put(value);
  }
  std::size_t size() const { return size_; }

private:
  void byte(std::uint8_t value) {
    if (size_ < capacity_) buffer_[size_] = value;
    size_++;
  }
  std::uint8_t *buffer_;
  std::size_t capacity_, size_ = 0;
};

/* Reads it back, in the same order. Throws where the bytes end too early. */
class Reader {
public:
  Reader(const std::uint8_t *bytes, std::size_t size) : bytes_(bytes), size_(size) {}
  std::uint64_t u64() {
    if (size_ - at_ < 8) damaged("it ends after " + std::to_string(size_) + " bytes");
    std::uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= static_cast<std::uint64_t>(bytes_[at_++]) << (8 * i);
    return value;
  }
  double number() {
    const std::uint64_t bits = u64();
    double value = 0.0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  /* A list that must have `size` elements. */
  std::vector<double> numbers(std::size_t size) {
    const std::uint64_t found = u64();
    if (found != size)
      damaged("it has " + std::to_string(found) + " numbers where " + std::to_string(size) + " belong");
    if ((size_ - at_) / 8 < size) damaged("it ends after " + std::to_string(size_) + " bytes");
    std::vector<double> values(size);
    for (double &value : values) value = number();
    return values;
  }
  std::size_t left() const { return size_ - at_; }
  /* For what else may be wrong with it. */
  [[noreturn]] static void damaged(const std::string &why) {
    throw Error(RG_ERR_IO, "the saved state is not one of this sampler with these parameters: " + why);
  }

private:
  const std::uint8_t *bytes_;
  std::size_t size_, at_ = 0;
};

/* A method that gives draws; see rg_sampler_vtable.
 *
 *   struct Run { ... };                                        the state of a run
 *   Run start(Call &, std::size_t n_draws);
 *   Flow step(Step &, Run &);
 * optional:
 *   void save(Call &, const Run &, Writer &);                  these two together
 *   Run load(Call &, Reader &);
 *   std::size_t rows(std::size_t n_draws);
 *
 * Every step has random numbers of its own: a state needs none to go on with the same bits.
 */
class Sampler {
public:
  static constexpr std::int32_t kind = RG_KIND_SAMPLER;
};

/* ---------------------------------------------------------------------------------------- The tables */

namespace detail {

/* Of a slot: `named`, whether a class has a member of that name (then the name is ambiguous in a class
 * that inherits another one besides), and `fits`, whether it can be called with such arguments. */
#define RETROGRADE_PLUGIN_MEMBER(slot)                                                                      \
  template <class C> struct named_##slot {                                                                  \
    struct Other {                                                                                          \
      int slot;                                                                                             \
    };                                                                                                      \
    struct Both : C, Other {};                                                                              \
    template <class B, class = decltype(&B::slot)> static std::false_type find(int);                        \
    template <class B> static std::true_type find(...);                                                     \
    static constexpr bool value = decltype(find<Both>(0))::value;                                           \
  };                                                                                                        \
  struct fits_##slot {                                                                                      \
    template <class R, class S, class... A>                                                                 \
    static auto test(int) -> std::bool_constant<                                                            \
        std::is_void<R>::value ||                                                                           \
        std::is_convertible<decltype(std::declval<S &>().slot(std::declval<A>()...)), R>::value>;           \
    template <class R, class S, class... A> static std::false_type test(...);                               \
  }

/* Puts a trampoline into a table if the class has the function, which must have these types. */
#define RETROGRADE_PLUGIN_SLOT(slot, result, ...)                                                           \
  if constexpr (named_##slot<C>::value) {                                                                   \
    static_assert(decltype(fits_##slot::test<result, Self, __VA_ARGS__>(0))::value,                         \
                  "`" #slot "` must be a public member `" #result " " #slot "(" #__VA_ARGS__                \
                  ")`, const if the component is RG_THREAD_CONCURRENT");                                    \
    table.slot = &slot;                                                                                     \
  }

/* The same for one that takes no arguments. */
#define RETROGRADE_PLUGIN_PLAIN_SLOT(slot, result)                                                          \
  if constexpr (named_##slot<C>::value) {                                                                   \
    static_assert(decltype(fits_##slot::test<result, Self>(0))::value,                                      \
                  "`" #slot "` must be a public member `" #result " " #slot                                 \
                  "()`, const if the component is RG_THREAD_CONCURRENT");                                   \
    table.slot = &slot;                                                                                     \
  }

RETROGRADE_PLUGIN_MEMBER(dim);
RETROGRADE_PLUGIN_MEMBER(eval);
RETROGRADE_PLUGIN_MEMBER(hvp);
RETROGRADE_PLUGIN_MEMBER(name);
RETROGRADE_PLUGIN_MEMBER(n_outputs);
RETROGRADE_PLUGIN_MEMBER(output_name);
RETROGRADE_PLUGIN_MEMBER(outputs);
RETROGRADE_PLUGIN_MEMBER(noise_dim);
RETROGRADE_PLUGIN_MEMBER(t_end);
RETROGRADE_PLUGIN_MEMBER(drift);
RETROGRADE_PLUGIN_MEMBER(apply_g);
RETROGRADE_PLUGIN_MEMBER(apply_ggt);
RETROGRADE_PLUGIN_MEMBER(ref_sample);
RETROGRADE_PLUGIN_MEMBER(ref_eval);
RETROGRADE_PLUGIN_MEMBER(div_ggt);
RETROGRADE_PLUGIN_MEMBER(linear);
RETROGRADE_PLUGIN_MEMBER(transition_sample);
RETROGRADE_PLUGIN_MEMBER(transition_score);
RETROGRADE_PLUGIN_MEMBER(drift_vjp);
RETROGRADE_PLUGIN_MEMBER(drift_jvp);
RETROGRADE_PLUGIN_MEMBER(drift_div);
RETROGRADE_PLUGIN_MEMBER(int_g2);
RETROGRADE_PLUGIN_MEMBER(time_of);
RETROGRADE_PLUGIN_MEMBER(forward_map);
RETROGRADE_PLUGIN_MEMBER(solve_noise);
RETROGRADE_PLUGIN_MEMBER(restore);
RETROGRADE_PLUGIN_MEMBER(warp);
RETROGRADE_PLUGIN_MEMBER(unwarp);
RETROGRADE_PLUGIN_MEMBER(warp_score);
RETROGRADE_PLUGIN_MEMBER(cdf);
RETROGRADE_PLUGIN_MEMBER(quantile);
RETROGRADE_PLUGIN_MEMBER(support);
RETROGRADE_PLUGIN_MEMBER(flags);
RETROGRADE_PLUGIN_MEMBER(jvp);
RETROGRADE_PLUGIN_MEMBER(log_marginal);
RETROGRADE_PLUGIN_MEMBER(start);
RETROGRADE_PLUGIN_MEMBER(step);
RETROGRADE_PLUGIN_MEMBER(save);
RETROGRADE_PLUGIN_MEMBER(load);
RETROGRADE_PLUGIN_MEMBER(rows);
RETROGRADE_PLUGIN_MEMBER(parameters);

/* What the trampolines of every kind share. */
template <class C> struct Base {
  static constexpr bool concurrent = C::about.threading_ == RG_THREAD_CONCURRENT;
  using Self = std::conditional_t<concurrent, const C, C>;

  static Self &self(void *object) { return *static_cast<Self *>(object); }
  static void destroy(void *object) { delete static_cast<C *>(object); }

  static void same(std::size_t given, std::size_t own, const char *what) {
    if (given != own)
      throw Error(RG_ERR_DIM, std::string(what) + " is " + std::to_string(given) + ", not " + std::to_string(own));
  }
  /* Text into a buffer of the caller. */
  static void give(const std::string &text, char *buf, std::size_t cap, std::size_t *need) {
    if (need != nullptr) *need = text.size() + 1;
    if (buf != nullptr && cap > text.size()) std::memcpy(buf, text.c_str(), text.size() + 1);
  }
  template <class Table> static void head(Table &table) {
    table.struct_size = sizeof table;
    table.caps = C::about.caps_;
    table.threading = C::about.threading_;
    table.destroy = &destroy;
  }
  template <class A, class B> static constexpr bool both() { return A::value == B::value; }
};

template <class C> struct TargetTable : Base<C> {
  using B = Base<C>;
  using typename B::Self;
  using B::self;

  static rg_status dim(void *o, rg_call *c, std::size_t *d) noexcept {
    return guard(c, [&](Call &) { *d = self(o).dim(); });
  }
  static rg_status eval(void *o, rg_call *c, std::size_t n, std::size_t d, const double *x, double *logp,
                        double *grad) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      self(o).eval(call, ConstMat(x, n, d), Vec(logp, n), Mat(grad, n, d));
    });
  }
  static rg_status hvp(void *o, rg_call *c, std::size_t n, std::size_t d, const double *x, const double *v,
                       double *out) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      self(o).hvp(call, ConstMat(x, n, d), ConstMat(v, n, d), Mat(out, n, d));
    });
  }
  static rg_status name(void *o, rg_call *c, std::size_t i, char *buf, std::size_t cap,
                        std::size_t *need) noexcept {
    return guard(c, [&](Call &) { B::give(self(o).name(i), buf, cap, need); });
  }
  static rg_status n_outputs(void *o, rg_call *c, std::size_t *k) noexcept {
    return guard(c, [&](Call &) { *k = self(o).n_outputs(); });
  }
  static rg_status output_name(void *o, rg_call *c, std::size_t i, char *buf, std::size_t cap,
                               std::size_t *need) noexcept {
    return guard(c, [&](Call &) { B::give(self(o).output_name(i), buf, cap, need); });
  }
  static rg_status outputs(void *o, rg_call *c, std::size_t n, std::size_t d, std::size_t k, const double *x,
                           double *out) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      B::same(k, self(o).n_outputs(), "the number of outputs");
      self(o).outputs(call, ConstMat(x, n, d), Mat(out, n, k));
    });
  }

  static rg_target_vtable make() {
    static_assert(named_dim<C>::value && named_eval<C>::value, "a target has `dim` and `eval`");
    static_assert(B::template both<named_n_outputs<C>, named_outputs<C>>() &&
                      B::template both<named_n_outputs<C>, named_output_name<C>>(),
                  "`n_outputs`, `output_name` and `outputs` come together");
    rg_target_vtable table{};
    B::head(table);
    RETROGRADE_PLUGIN_PLAIN_SLOT(dim, std::size_t)
    RETROGRADE_PLUGIN_SLOT(eval, void, Call &, ConstMat, Vec, Mat)
    RETROGRADE_PLUGIN_SLOT(hvp, void, Call &, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(name, std::string, std::size_t)
    RETROGRADE_PLUGIN_PLAIN_SLOT(n_outputs, std::size_t)
    RETROGRADE_PLUGIN_SLOT(output_name, std::string, std::size_t)
    RETROGRADE_PLUGIN_SLOT(outputs, void, Call &, ConstMat, Mat)
    return table;
  }
};

template <class C> struct ProcessTable : Base<C> {
  using B = Base<C>;
  using typename B::Self;
  using B::self;
  using size_t = std::size_t;

  static size_t noise(Self &process) {
    if constexpr (named_noise_dim<C>::value)
      return process.noise_dim();
    else
      return process.dim();
  }
  /* Runs work(call, process) after a look at the dimension. */
  template <class F> static rg_status run(void *o, rg_call *c, size_t d, F &&work) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      work(call, self(o));
    });
  }

  static rg_status info(void *o, rg_call *c, size_t *d, size_t *m, double *t_end) noexcept {
    return guard(c, [&](Call &) {
      *d = self(o).dim();
      *m = noise(self(o));
      *t_end = self(o).t_end();
    });
  }
  static rg_status drift(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts, const double *x,
                         double *f) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) { p.drift(call, Times(t, ts), ConstMat(x, n, d), Mat(f, n, d)); });
  }
  static rg_status apply_g(void *o, rg_call *c, size_t n, size_t d, size_t m, const double *t, size_t ts,
                           const double *x, const double *z, double *out) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      B::same(m, noise(p), "the dimension of the noise");
      p.apply_g(call, Times(t, ts), ConstMat(x, n, d), ConstMat(z, n, m), Mat(out, n, d));
    });
  }
  static rg_status apply_ggt(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts,
                             const double *x, const double *v, double *out) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.apply_ggt(call, Times(t, ts), ConstMat(x, n, d), ConstMat(v, n, d), Mat(out, n, d));
    });
  }
  static rg_status ref_sample(void *o, rg_call *c, size_t n, size_t d, double *x) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) { p.ref_sample(call, Mat(x, n, d)); });
  }
  static rg_status ref_eval(void *o, rg_call *c, size_t n, size_t d, const double *x, double *logp,
                            double *grad) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.ref_eval(call, ConstMat(x, n, d), Vec(logp, n), Mat(grad, n, d));
    });
  }
  static rg_status div_ggt(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, double *out) noexcept {
    return run(o, c, d,
               [&](Call &call, Self &p) { p.div_ggt(call, Times(t, ts), ConstMat(x, n, d), Mat(out, n, d)); });
  }
  static rg_status linear(void *o, rg_call *c, size_t d, double t, double *alpha, double *sigma2) noexcept {
    const std::uint64_t caps = C::about.caps_;
    const size_t k = (caps & RG_CAP_LINEAR_DENSE) != 0 ? d * d : (caps & RG_CAP_LINEAR_DIAG) != 0 ? d : 1;
    return run(o, c, d, [&](Call &call, Self &p) { p.linear(call, t, Vec(alpha, k), Vec(sigma2, k)); });
  }
  static rg_status transition_sample(void *o, rg_call *c, size_t n, size_t d, double s, double t,
                                     const double *xs, double *xt) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.transition_sample(call, s, t, ConstMat(xs, n, d), Mat(xt, n, d));
    });
  }
  static rg_status transition_score(void *o, rg_call *c, size_t n, size_t d, double s, double t,
                                    const double *xs, const double *xt, double *logp, double *grad) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.transition_score(call, s, t, ConstMat(xs, n, d), ConstMat(xt, n, d), Vec(logp, n), Mat(grad, n, d));
    });
  }
  static rg_status drift_vjp(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts,
                             const double *x, const double *u, double *out) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.drift_vjp(call, Times(t, ts), ConstMat(x, n, d), ConstMat(u, n, d), Mat(out, n, d));
    });
  }
  static rg_status drift_jvp(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts,
                             const double *x, const double *v, double *out) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.drift_jvp(call, Times(t, ts), ConstMat(x, n, d), ConstMat(v, n, d), Mat(out, n, d));
    });
  }
  static rg_status drift_div(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts,
                             const double *x, double *out) noexcept {
    return run(o, c, d,
               [&](Call &call, Self &p) { p.drift_div(call, Times(t, ts), ConstMat(x, n, d), Vec(out, n)); });
  }
  static rg_status int_g2(void *o, rg_call *c, double s, double t, double *out) noexcept {
    return guard(c, [&](Call &call) { *out = self(o).int_g2(call, s, t); });
  }
  static rg_status time_of(void *o, rg_call *c, double level, double t_end, double *out) noexcept {
    return guard(c, [&](Call &call) { *out = self(o).time_of(call, level, t_end); });
  }
  static rg_status forward_map(void *o, rg_call *c, size_t n, size_t d, double s, double t, const double *r,
                               const double *z, double *x) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.forward_map(call, s, t, ConstMat(r, n, d), ConstMat(z, n, noise(p)), Mat(x, n, d));
    });
  }
  static rg_status solve_noise(void *o, rg_call *c, size_t n, size_t d, double s, double t, const double *r,
                               const double *x, double *z) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.solve_noise(call, s, t, ConstMat(r, n, d), ConstMat(x, n, d), Mat(z, n, noise(p)));
    });
  }
  static rg_status restore(void *o, rg_call *c, size_t n, size_t d, double t, double back, const double *x,
                           const double *score, double *r) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.restore(call, t, back, ConstMat(x, n, d), ConstMat(score, n, d), Mat(r, n, d));
    });
  }
  static rg_status warp(void *o, rg_call *c, size_t n, size_t d, const double *x, double *y,
                        double *log_det) noexcept {
    return run(o, c, d,
               [&](Call &call, Self &p) { p.warp(call, ConstMat(x, n, d), Mat(y, n, d), Vec(log_det, n)); });
  }
  static rg_status unwarp(void *o, rg_call *c, size_t n, size_t d, const double *y, double *x) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) { p.unwarp(call, ConstMat(y, n, d), Mat(x, n, d)); });
  }
  static rg_status warp_score(void *o, rg_call *c, size_t n, size_t d, const double *x, const double *sy,
                              double *sx) noexcept {
    return run(o, c, d, [&](Call &call, Self &p) {
      p.warp_score(call, ConstMat(x, n, d), ConstMat(sy, n, d), Mat(sx, n, d));
    });
  }
  static rg_status cdf(void *o, rg_call *c, size_t n, double s, double t, const double *r, const double *x,
                       double *p) noexcept {
    return guard(c, [&](Call &call) { self(o).cdf(call, s, t, ConstVec(r, n), ConstVec(x, n), Vec(p, n)); });
  }
  static rg_status quantile(void *o, rg_call *c, size_t n, double s, double t, const double *r, const double *p,
                            double *x) noexcept {
    return guard(c, [&](Call &call) { self(o).quantile(call, s, t, ConstVec(r, n), ConstVec(p, n), Vec(x, n)); });
  }
  static rg_status support(void *o, rg_call *c, double *low, double *high) noexcept {
    return guard(c, [&](Call &) {
      const std::pair<double, double> ends = self(o).support();
      *low = ends.first;
      *high = ends.second;
    });
  }
  static rg_status flags(void *o, rg_call *c) noexcept {
    return guard(c, [&](Call &call) { self(o).flags(call); });
  }

  static constexpr int forms() {
    const std::uint64_t caps = C::about.caps_;
    return int((caps & RG_CAP_LINEAR) != 0) + int((caps & RG_CAP_LINEAR_DIAG) != 0) +
           int((caps & RG_CAP_LINEAR_DENSE) != 0);
  }

  static rg_process_vtable make() {
    static_assert(named_dim<C>::value && named_t_end<C>::value && named_drift<C>::value &&
                      named_apply_g<C>::value && named_apply_ggt<C>::value && named_ref_sample<C>::value &&
                      named_ref_eval<C>::value,
                  "a process has `dim`, `t_end`, `drift`, `apply_g`, `apply_ggt`, `ref_sample`, `ref_eval`");
    static_assert(named_div_ggt<C>::value || (C::about.caps_ & RG_CAP_G_CONST_X) != 0,
                  "a process without `div_ggt` must say RG_CAP_G_CONST_X");
    static_assert(forms() == (named_linear<C>::value ? 1 : 0),
                  "`linear` and one of RG_CAP_LINEAR, RG_CAP_LINEAR_DIAG, RG_CAP_LINEAR_DENSE come together");
    static_assert(B::template both<named_transition_sample<C>, named_transition_score<C>>(),
                  "`transition_sample` and `transition_score` come together");
    static_assert(B::template both<named_forward_map<C>, named_solve_noise<C>>(),
                  "`forward_map` and `solve_noise` come together");
    static_assert(B::template both<named_warp<C>, named_unwarp<C>>() &&
                      B::template both<named_warp<C>, named_warp_score<C>>(),
                  "`warp`, `unwarp` and `warp_score` come together");
    static_assert((C::about.caps_ & RG_CAP_WARPED) == 0 || named_warp<C>::value,
                  "RG_CAP_WARPED is for a process with `warp`");
    static_assert(B::template both<named_cdf<C>, named_quantile<C>>(), "`cdf` and `quantile` come together");
    static_assert(!named_time_of<C>::value || (C::about.caps_ & RG_CAP_LINEAR) != 0,
                  "`time_of` is for a process with RG_CAP_LINEAR");
    rg_process_vtable table{};
    B::head(table);
    table.info = &info;
    static_assert(decltype(fits_dim::test<size_t, Self>(0))::value &&
                      decltype(fits_t_end::test<double, Self>(0))::value,
                  "`dim` must be a public member `std::size_t dim()` and `t_end` a `double t_end()`, const if "
                  "the component is RG_THREAD_CONCURRENT");
    RETROGRADE_PLUGIN_SLOT(drift, void, Call &, Times, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(apply_g, void, Call &, Times, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(apply_ggt, void, Call &, Times, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(ref_sample, void, Call &, Mat)
    RETROGRADE_PLUGIN_SLOT(ref_eval, void, Call &, ConstMat, Vec, Mat)
    RETROGRADE_PLUGIN_SLOT(div_ggt, void, Call &, Times, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(linear, void, Call &, double, Vec, Vec)
    RETROGRADE_PLUGIN_SLOT(transition_sample, void, Call &, double, double, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(transition_score, void, Call &, double, double, ConstMat, ConstMat, Vec, Mat)
    RETROGRADE_PLUGIN_SLOT(drift_vjp, void, Call &, Times, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(drift_jvp, void, Call &, Times, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(drift_div, void, Call &, Times, ConstMat, Vec)
    RETROGRADE_PLUGIN_SLOT(int_g2, double, Call &, double, double)
    RETROGRADE_PLUGIN_SLOT(time_of, double, Call &, double, double)
    RETROGRADE_PLUGIN_SLOT(forward_map, void, Call &, double, double, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(solve_noise, void, Call &, double, double, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(restore, void, Call &, double, double, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(warp, void, Call &, ConstMat, Mat, Vec)
    RETROGRADE_PLUGIN_SLOT(unwarp, void, Call &, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(warp_score, void, Call &, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(cdf, void, Call &, double, double, ConstVec, ConstVec, Vec)
    RETROGRADE_PLUGIN_SLOT(quantile, void, Call &, double, double, ConstVec, ConstVec, Vec)
    using Ends = std::pair<double, double>;
    RETROGRADE_PLUGIN_PLAIN_SLOT(support, Ends)
    RETROGRADE_PLUGIN_SLOT(flags, void, Call &)
    return table;
  }

  /* For dimensions other than 1. */
  static const rg_process_vtable *without_cdf() {
    static const rg_process_vtable table = [] {
      rg_process_vtable all = make();
      all.cdf = nullptr;
      all.quantile = nullptr;
      return all;
    }();
    return &table;
  }
};

template <class C> struct ScoreTable : Base<C> {
  using B = Base<C>;
  using typename B::Self;
  using B::self;
  using size_t = std::size_t;

  static rg_status dim(void *o, rg_call *c, size_t *d) noexcept {
    return guard(c, [&](Call &) { *d = self(o).dim(); });
  }
  static rg_status eval(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts, const double *x,
                        double *s) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      self(o).eval(call, Times(t, ts), ConstMat(x, n, d), Mat(s, n, d));
    });
  }
  static rg_status jvp(void *o, rg_call *c, size_t n, size_t d, size_t k, const double *t, size_t ts,
                       const double *x, const double *v, double *out) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      self(o).jvp(call, k, Times(t, ts), ConstMat(x, n, d), ConstMat(v, n, k * d), Mat(out, n, k * d));
    });
  }
  static rg_status log_marginal(void *o, rg_call *c, size_t n, size_t d, const double *t, size_t ts,
                                const double *x, double *out) noexcept {
    return guard(c, [&](Call &call) {
      B::same(d, self(o).dim(), "the dimension");
      self(o).log_marginal(call, Times(t, ts), ConstMat(x, n, d), Vec(out, n));
    });
  }
  static rg_status flags(void *o, rg_call *c) noexcept {
    return guard(c, [&](Call &call) { self(o).flags(call); });
  }

  static rg_score_vtable make() {
    static_assert(named_dim<C>::value && named_eval<C>::value, "a score has `dim` and `eval`");
    rg_score_vtable table{};
    B::head(table);
    RETROGRADE_PLUGIN_PLAIN_SLOT(dim, std::size_t)
    RETROGRADE_PLUGIN_SLOT(eval, void, Call &, Times, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(jvp, void, Call &, std::size_t, Times, ConstMat, ConstMat, Mat)
    RETROGRADE_PLUGIN_SLOT(log_marginal, void, Call &, Times, ConstMat, Vec)
    RETROGRADE_PLUGIN_SLOT(flags, void, Call &)
    return table;
  }
};

template <class C> struct SamplerTable : Base<C> {
  using B = Base<C>;
  using typename B::Self;
  using B::self;
  using Run = typename C::Run;

  static rg_status start(void *o, rg_call *c, std::size_t n_draws, void **run) noexcept {
    return guard(c, [&](Call &call) {
      try {
        *run = new Run(self(o).start(call, n_draws));
      } catch (const Setting &e) {
        refuse(c, e);
      }
    });
  }
  static rg_status step(void *o, rg_call *c, void *run, std::int32_t *done) noexcept {
    return guard(c, [&](Call &) {
      Step call(c);
      *done = self(o).step(call, *static_cast<Run *>(run)) == Flow::done ? 1 : 0;
    });
  }
  static void end(void *, void *run) { delete static_cast<Run *>(run); }
  static rg_status save(void *o, rg_call *c, const void *run, void *buf, std::size_t cap,
                        std::size_t *need) noexcept {
    return guard(c, [&](Call &call) {
      const Run &state = *static_cast<const Run *>(run);
      Writer measure(nullptr, 0);
      self(o).save(call, state, measure);
      *need = measure.size();
      if (buf == nullptr || cap < measure.size()) return;
      Writer writer(static_cast<std::uint8_t *>(buf), cap);
      self(o).save(call, state, writer);
    });
  }
  static rg_status load(void *o, rg_call *c, const void *buf, std::size_t len, void **run) noexcept {
    return guard(c, [&](Call &call) {
      Reader reader(static_cast<const std::uint8_t *>(buf), len);
      auto state = std::make_unique<Run>(self(o).load(call, reader));
      if (reader.left() != 0) Reader::damaged(std::to_string(reader.left()) + " bytes are left over");
      *run = state.release();
    });
  }
  static rg_status rows(void *o, rg_call *c, std::size_t n_draws, std::size_t *rows) noexcept {
    return guard(c, [&](Call &) { *rows = self(o).rows(n_draws); });
  }

  static rg_sampler_vtable make() {
    static_assert(named_start<C>::value && named_step<C>::value, "a sampler has `start` and `step`");
    static_assert(B::template both<named_save<C>, named_load<C>>(), "`save` and `load` come together");
    rg_sampler_vtable table{};
    B::head(table);
    table.end = &end;
    RETROGRADE_PLUGIN_SLOT(start, Run, Call &, std::size_t)
    RETROGRADE_PLUGIN_SLOT(step, Flow, Step &, Run &)
    RETROGRADE_PLUGIN_SLOT(save, void, Call &, const Run &, Writer &)
    RETROGRADE_PLUGIN_SLOT(load, Run, Call &, Reader &)
    RETROGRADE_PLUGIN_SLOT(rows, std::size_t, std::size_t)
    return table;
  }
};

#undef RETROGRADE_PLUGIN_MEMBER
#undef RETROGRADE_PLUGIN_SLOT
#undef RETROGRADE_PLUGIN_PLAIN_SLOT

template <class C> auto table_of() {
  if constexpr (C::kind == RG_KIND_TARGET)
    return TargetTable<C>::make();
  else if constexpr (C::kind == RG_KIND_PROCESS)
    return ProcessTable<C>::make();
  else if constexpr (C::kind == RG_KIND_SCORE)
    return ScoreTable<C>::make();
  else
    return SamplerTable<C>::make();
}

template <class C> C *construct(const Params &params, const Parts &parts, Call &call) {
  if constexpr (std::is_constructible<C, const Params &, const Parts &, Call &>::value)
    return new C(params, parts, call);
  else if constexpr (std::is_constructible<C, const Params &, const Parts &>::value)
    return new C(params, parts);
  else if constexpr (std::is_constructible<C, const Params &>::value)
    return new C(params);
  else {
    static_assert(std::is_default_constructible<C>::value,
                  "a component is made by C(const Params &, const Parts &, Call &), or with fewer of them");
    return new C();
  }
}

} // namespace detail

/* The declared parameters as the host wants them. */
class ParamTables {
public:
  explicit ParamTables(Parameters params) : params_(std::move(params)) {
    choices_.reserve(params_.size());
    tables_.reserve(params_.size());
    for (const Param &param : params_) {
      choices_.emplace_back();
      for (const std::string &text : param.choices_) choices_.back().push_back(text.c_str());
      choices_.back().push_back(nullptr);
      rg_param table{};
      table.struct_size = sizeof table;
      table.name = param.name_.c_str();
      table.doc = param.doc_.c_str();
      table.type = param.type_;
      table.required = param.required_ ? 1 : 0;
      table.default_toml = param.required_ ? nullptr : param.default_.c_str();
      table.min = param.min_;
      table.max = param.max_;
      table.choices = param.choices_.empty() ? nullptr : choices_.back().data();
      tables_.push_back(table);
    }
    for (const rg_param &table : tables_) pointers_.push_back(&table);
  }
  ParamTables(const ParamTables &) = delete;
  ParamTables &operator=(const ParamTables &) = delete;
  const rg_param *const *data() const { return pointers_.data(); }
  std::size_t size() const { return pointers_.size(); }

private:
  const Parameters params_;
  std::vector<std::vector<const char *>> choices_;
  std::vector<rg_param> tables_;
  std::vector<const rg_param *> pointers_;
};

namespace detail {

/* The table of a component; it is made once, and stays until the program ends. */
template <class C> struct Component {
  static_assert(is_name(C::about.name_),
                "the name of a component is a small letter, then small letters, digits and `-`");
  static_assert(C::about.threading_ == RG_THREAD_SERIAL || C::about.threading_ == RG_THREAD_CONCURRENT,
                "a component of a plugin is RG_THREAD_SERIAL or RG_THREAD_CONCURRENT");
  static_assert(!std::is_final<C>::value && !std::is_abstract<C>::value,
                "a component is a class that is neither abstract nor final");

  static Parameters declared() {
    if constexpr (named_parameters<C>::value)
      return C::parameters();
    else
      return {};
  }

  static C *built(rg_call *raw, const rg_cfg *cfg, const rg_deps *deps, Call &call) {
    const Params params(raw, cfg);
    const Parts parts(deps);
    try {
      return construct<C>(params, parts, call);
    } catch (const Setting &e) {
      refuse(raw, e);
    }
  }

  static rg_status create(const rg_host *, rg_call *raw, const rg_cfg *cfg, const rg_deps *deps,
                          rg_ref *made) noexcept {
    return guard(raw, [&](Call &call) {
      C *object = built(raw, cfg, deps, call);
      if constexpr (C::kind == RG_KIND_PROCESS) {
        if constexpr (named_cdf<C>::value)
          if (object->dim() != 1) made->vtable = ProcessTable<C>::without_cdf();
      }
      made->object = object;
    });
  }

  ParamTables params{declared()};
  decltype(table_of<C>()) vtable = table_of<C>();
  rg_component table{};

  Component() {
    table.struct_size = sizeof table;
    table.kind = C::kind;
    table.needs = C::about.needs_;
    table.name = C::about.name_;
    table.version = C::about.version_;
    table.doc = C::about.doc_;
    table.params = params.data();
    table.n_params = params.size();
    table.vtable = &vtable;
    table.create = &create;
  }
  Component(const Component &) = delete;
  Component &operator=(const Component &) = delete;

  static const rg_component *get() {
    static const Component *const made = new Component();
    return &made->table;
  }
};

template <class... C>
const rg_plugin *entry(const rg_host *given, const char *name, const char *version, const char *license) noexcept {
  if (given == nullptr) return nullptr;
  if (given->abi != RG_PLUGIN_ABI || given->struct_size < sizeof(rg_host)) {
    given->fail(nullptr, RG_ERR_ABI, "the plugin was compiled for a later version of retrograde");
    return nullptr;
  }
  host = given;
  static const rg_component *components[sizeof...(C) + 1] = {};
  static rg_plugin table{};
  const rg_status status = guard(nullptr, [&](Call &) {
    static const bool made = [&] {
      std::size_t i = 0;
      ((components[i++] = Component<C>::get()), ...);
      table.struct_size = sizeof table;
      table.abi = RG_PLUGIN_ABI;
      table.minor = RG_PLUGIN_MINOR;
      table.name = name;
      table.version = version;
      table.license = license;
      table.components = components;
      table.n_components = sizeof...(C);
      return true;
    }();
    static_cast<void>(made);
  });
  return status == RG_OK ? &table : nullptr;
}

} // namespace detail

} // namespace plugin
} // namespace retrograde

/* Once in the plugin, outside of any namespace: its name, version and licence, and its components. It
 * exports retrograde_plugin_v1. */
#define RETROGRADE_PLUGIN(name, version, license, ...)                                                      \
  static_assert(::retrograde::plugin::detail::is_name(name),                                                \
                "the name of a plugin is a small letter, then small letters, digits and `-`");              \
  extern "C" RETROGRADE_PLUGIN_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *host) {          \
    return ::retrograde::plugin::detail::entry<__VA_ARGS__>(host, name, version, license);                  \
  }

#endif /* RETROGRADE_PLUGIN_HPP */
