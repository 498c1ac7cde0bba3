/* Components by the C++ header, of every kind, with all slots and with as few as may be; their tables are called
 * as a host calls them. It is compiled together with the host of fake_host.h. */
#include <retrograde_plugin.hpp>

#include "fake_host.h"

using namespace retrograde::plugin;

namespace {

int alive = 0; // objects and runs

struct Counted {
  Counted() { alive++; }
  Counted(const Counted &) { alive++; }
  ~Counted() { alive--; }
};

/* --- few slots --------------------------------------------------------------------------------------- */

class Bare : public Target {
public:
  static constexpr About about = About("bare", "A target with no more than a target must have");
  std::size_t dim() { return 2; } // not const: SERIAL
  void eval(Call &, ConstMat x, Vec logp, Mat grad) {
    calls_++;
    for (std::size_t i = 0; i < x.rows(); i++) {
      if (logp) logp[i] = x(i, 0) - x(i, 1);
      if (grad) grad(i, 0) = 1.0, grad(i, 1) = -1.0;
    }
  }

private:
  int calls_ = 0;
};

class BareProcess : public Process {
public:
  static constexpr About about = About("bare-process", "Brownian motion in the plane driven by one noise")
                                     .caps(RG_CAP_G_CONST_X | RG_CAP_ROWWISE)
                                     .threading(RG_THREAD_CONCURRENT)
                                     .version("9.8.7");
  std::size_t dim() const { return 2; }
  std::size_t noise_dim() const { return 1; }
  double t_end() const { return 3.0; }
  void drift(Call &, Times t, ConstMat x, Mat f) const {
    for (std::size_t i = 0; i < x.rows(); i++) f(i, 0) = t[i], f(i, 1) = t.shared() ? 1.0 : 2.0;
  }
  void apply_g(Call &, Times, ConstMat, ConstMat z, Mat out) const {
    for (std::size_t i = 0; i < z.rows(); i++) out(i, 0) = z(i, 0), out(i, 1) = 2.0 * z(i, 0);
  }
  void apply_ggt(Call &, Times, ConstMat, ConstMat v, Mat out) const {
    for (double &o : out.flat()) o = v.cols() == 2 ? 1.0 : 0.0;
  }
  void ref_sample(Call &call, Mat x) const { call.normal(x); }
  void ref_eval(Call &, ConstMat, Vec logp, Mat) const {
    for (double &l : logp) l = 0.0;
  }
};

class Timed : public BareProcess {
public:
  static constexpr About about = About("timed", "A process that tells the time of a noise level")
                                     .caps(RG_CAP_G_CONST_X | RG_CAP_LINEAR)
                                     .threading(RG_THREAD_CONCURRENT);
  void linear(Call &, double t, Vec alpha, Vec sigma2) const { alpha[0] = 1.0, sigma2[0] = t * t; }
  double time_of(Call &, double level, double t_end) const {
    if (level > t_end) throw Error(RG_ERR_ARG, "no such level");
    return level;
  }
};

/* --- all slots ------------------------------------------------------------------------------------------ */

class Full : public Target, Counted {
public:
  static constexpr About about = About("full", "A target with all slots, that fails in every way")
                                     .caps(RG_CAP_ROWWISE | RG_CAP_GRADIENT)
                                     .threading(RG_THREAD_CONCURRENT);
  static Parameters parameters() {
    return {
        number("scale", "A number").min(0.5).max(4).defaults_to(2),
        integer("dim", "A whole number").min(1).max(9).defaults_to(3),
        boolean("on", "A switch").defaults_to(true),
        text("mode", "A text").choices({"calm", "a \"wild\" one"}).defaults_to("calm"),
        numbers("means", "A list").defaults_to({0.1, 1.0, 1e-300}),
        text("why", "A required text"),
    };
  }
  Full(const Params &params, const Parts &parts, Call &call)
      : dim_(params.size("dim")), scale_(params.number("scale")), why_(params.text("why")) {
    if (!params.boolean("on")) throw setting("on", false, "true");
    if (params.text("mode") != "calm") throw setting("mode", params.text("mode"), "\"calm\"");
    if (params.numbers("means").size() != 3 || params.numbers("means")[2] != 1e-300) throw std::logic_error("means");
    if (params.toml() != "n = 6\n") throw std::logic_error("toml");
    if (why_ == "file" && params.file("there.bin") != std::string("a\0b", 3)) throw std::logic_error("file");
    if (why_ == "no file") params.file("nowhere.bin");
    if (why_ == "misspelt") params.number("scales");
    if (why_ == "mistyped") params.number("dim");
    if (why_ == "target") parts.target();
    if (why_ == "thrown") throw 7;
    call.info("made");
  }
  std::size_t dim() const { return dim_; }
  void eval(Call &call, ConstMat x, Vec logp, Mat) const {
    if (why_ == "logic") throw std::logic_error("a logical reason");
    if (why_ == "memory") throw std::bad_alloc();
    if (why_ == "int") throw 7;
    if (why_ == "code") throw Error(RG_ERR_NUMERIC, "a numerical reason");
    if (why_ == "ok") throw Error(RG_OK, "an error that says it is none");
    if (why_ == "huge") call.scratch(std::numeric_limits<std::size_t>::max() / 4);
    if (why_ == "rows")
      call.for_rows(x.rows(), [&](Call &, std::size_t first, std::size_t count) {
        if (first <= 7 && 7 < first + count) throw std::runtime_error("row 7 is bad");
      });
    if (why_ == "jobs")
      call.for_jobs(4, [](Call &child, std::size_t job) {
        if (job == 2) child.check_cancelled();
        if (job == 1) throw Error(RG_ERR_DIM, "job 1 is bad");
      });
    call.check_cancelled();
    const Mat z = call.scratch(x.rows(), dim_);
    call.for_rows(x.rows(), [&](Call &child, std::size_t first, std::size_t count) {
      child.normal(z.part(first, count));
      const Vec own = child.scratch(count);
      child.uniform(own);
      for (std::size_t i = 0; i < count; i++)
        if (logp) logp[first + i] = z(first + i, 0) + own[i];
    });
  }
  void hvp(Call &, ConstMat, ConstMat v, Mat out) const {
    for (std::size_t k = 0; k < out.flat().size(); k++) out.flat()[k] = -scale_ * v.flat()[k];
  }
  std::string name(std::size_t i) const { return "coordinate_" + std::to_string(i); }
  std::size_t n_outputs() const { return 2; }
  std::string output_name(std::size_t i) const {
    if (i > 1) throw std::out_of_range("there are two");
    return i == 0 ? "sum" : "count";
  }
  void outputs(Call &, ConstMat x, Mat out) const {
    for (std::size_t i = 0; i < x.rows(); i++) {
      out(i, 0) = 0.0, out(i, 1) = static_cast<double>(x.cols());
      for (const double value : x.row(i)) out(i, 0) += value;
    }
  }

private:
  std::size_t dim_;
  double scale_;
  std::string why_;
};

class FullProcess : public Process {
public:
  static constexpr About about = About("full-process", "A process with all slots")
                                     .needs(RG_NEEDS_TARGET)
                                     .caps(RG_CAP_LINEAR_DIAG | RG_CAP_WARPED)
                                     .threading(RG_THREAD_CONCURRENT);
  FullProcess(const Params &, const Parts &parts) : dim_(parts.dim()) {}
  std::size_t dim() const { return dim_; }
  double t_end() const { return 1.0; }
  void drift(Call &, Times, ConstMat, Mat f) const { fill(f, 1); }
  void apply_g(Call &, Times, ConstMat, ConstMat, Mat out) const { fill(out, 2); }
  void apply_ggt(Call &, Times, ConstMat, ConstMat, Mat out) const { fill(out, 3); }
  void ref_sample(Call &, Mat x) const { fill(x, 4); }
  void ref_eval(Call &, ConstMat, Vec logp, Mat grad) const { fill(logp, 5), fill(grad, 6); }
  void div_ggt(Call &, Times, ConstMat, Mat out) const { fill(out, 7); }
  void linear(Call &, double t, Vec alpha, Vec sigma2) const { fill(alpha, t), fill(sigma2, 8); }
  void transition_sample(Call &, double, double, ConstMat, Mat xt) const { fill(xt, 9); }
  void transition_score(Call &, double, double, ConstMat, ConstMat, Vec logp, Mat g) const {
    fill(logp, 10), fill(g, 11);
  }
  void drift_vjp(Call &, Times, ConstMat, ConstMat, Mat out) const { fill(out, 12); }
  void drift_jvp(Call &, Times, ConstMat, ConstMat, Mat out) const { fill(out, 13); }
  void drift_div(Call &, Times, ConstMat, Vec out) const { fill(out, 14); }
  double int_g2(Call &, double s, double t) const { return t - s; }
  void forward_map(Call &, double, double, ConstMat, ConstMat, Mat x) const { fill(x, 15); }
  void solve_noise(Call &, double, double, ConstMat, ConstMat, Mat z) const { fill(z, 16); }
  void restore(Call &, double, double, ConstMat, ConstMat, Mat r) const { fill(r, 17); }
  void warp(Call &, ConstMat, Mat y, Vec log_det) const { fill(y, 18), fill(log_det, 19); }
  void unwarp(Call &, ConstMat, Mat x) const { fill(x, 20); }
  void warp_score(Call &, ConstMat, ConstMat, Mat sx) const { fill(sx, 21); }
  void cdf(Call &, double, double, ConstVec, ConstVec, Vec p) const { fill(p, 22); }
  void quantile(Call &, double, double, ConstVec, ConstVec, Vec x) const { fill(x, 23); }
  std::pair<double, double> support() const { return {-1.0, 24.0}; }
  void flags(Call &call) const { call.flag(RG_SEVERITY_NOTE, "a-key", "a text"); }

private:
  static void fill(Mat out, double value) { fill(out.flat(), value); }
  static void fill(Vec out, double value) {
    for (double &o : out) o = value;
  }
  std::size_t dim_;
};

/* A score that asks the parts that it is built with. */
class Asking : public Score {
public:
  static constexpr About about =
      About("asking", "A score that asks its parts").needs(RG_NEEDS_TARGET | RG_NEEDS_PROCESS);
  Asking(const Params &, const Parts &parts) : target_(parts.target()), process_(parts.process()) {
    if (!target_.has(&rg_target_vtable::eval) || target_.has(&rg_target_vtable::hvp)) throw std::logic_error("has");
    if (target_.splits() || !process_.splits()) throw std::logic_error("splits");
  }
  std::size_t dim() const { return 2; }
  void eval(Call &call, Times t, ConstMat x, Mat s) const {
    const ProcessRef::Info info = process_.info(call);
    if (info.dim != 2 || info.noise_dim != 1 || info.t_end != 3.0) throw std::logic_error("info");
    target_.eval(call, x, {}, s);
    const Mat f = call.scratch(x.rows(), 2);
    process_.drift(call, t, x, f);
    process_.div_ggt(call, t, x, s.rows() > 100 ? s : f.part(0, 0)); // zero rows of it
    for (std::size_t k = 0; k < s.flat().size(); k++) s.flat()[k] += 10.0 * f.flat()[k];
    if (x.rows() == 3) target_.hvp(call, x, x, s);
  }
  void jvp(Call &, std::size_t k, Times, ConstMat, ConstMat v, Mat out) const {
    for (std::size_t i = 0; i < out.flat().size(); i++) out.flat()[i] = static_cast<double>(k) * v.flat()[i];
  }
  void log_marginal(Call &, Times t, ConstMat x, Vec out) const {
    for (std::size_t i = 0; i < x.rows(); i++) out[i] = t[i] + x(i, 0);
  }
  void flags(Call &call) const { call.flag(RG_SEVERITY_NOTE, "asks", "it asks", "nothing"); }

private:
  TargetRef target_;
  ProcessRef process_;
};

/* Sums of normal numbers, that can be saved. */
class Walk : public Sampler {
public:
  static constexpr About about = About("walk", "A random walk that can be saved").threading(RG_THREAD_CONCURRENT);
  struct Run {
    std::size_t n;
    std::uint64_t done;
    std::vector<double> x;
    Counted counted;
  };
  Run start(Call &call, std::size_t n) const {
    Run run{n, 0, std::vector<double>(2 * n), {}};
    call.normal(Mat(run.x.data(), n, 2));
    if (n == 13) throw setting("chains", 13, "another number");
    return run;
  }
  Flow step(Step &call, Run &run) const {
    if (run.done == 0) call.set_chains(1);
    const Mat z = call.scratch(run.n, 2);
    call.normal(z);
    for (std::size_t k = 0; k < run.x.size(); k++) run.x[k] += z.flat()[k];
    call.progress(static_cast<double>(++run.done) / 4.0);
    if (run.done < 4) return Flow::more;
    const Vec w = call.scratch(run.n);
    for (double &value : w) value = 0.0;
    call.emit(ConstMat(run.x.data(), run.n, 2), w, {{"lp", w}});
    call.scalar("log_z", 1.5);
    call.record("ladder", {{"beta", 1.0}, {"ess", 2.0}});
    call.flag(RG_SEVERITY_WARNING, "walked", "it walked", "run");
    return Flow::done;
  }
  void save(Call &, const Run &run, Writer &out) const {
    out.put(std::uint64_t(run.n));
    out.put(run.done);
    out.put(run.x);
  }
  Run load(Call &, Reader &in) const {
    const std::size_t n = static_cast<std::size_t>(in.u64());
    const std::uint64_t done = in.u64();
    if (done >= 4) Reader::damaged("it is done");
    return Run{n, done, in.numbers(2 * n), {}};
  }
};

/* The same without. */
class Stroll : public Sampler {
public:
  static constexpr About about = About("stroll", "A sampler that cannot be saved");
  struct Run {
    std::unique_ptr<int> alone; // a state that cannot be copied
  };
  Run start(Call &, std::size_t) { return Run{std::make_unique<int>(0)}; }
  Flow step(Step &call, Run &run) {
    const double x[2] = {1.0, 2.0};
    call.emit(ConstMat(x, 1, 2));
    if (++*run.alone == 2) call.emit(ConstMat(x, 1, 2), ConstVec(x, 2)); // two weights for one draw
    return *run.alone == 3 ? Flow::done : Flow::more;
  }
  std::size_t rows(std::size_t n) { return n / 2; }
};

} // namespace

RETROGRADE_PLUGIN("classes", "1.2.3", "MIT", Bare, BareProcess, Timed, Full, FullProcess, Asking, Walk, Stroll)

/* --- the host's side ------------------------------------------------------------------------------------- */

namespace {

const rg_plugin *plugin_of() { return retrograde_plugin_v1(fake_host()); }

template <class Table> const Table &table(const rg_ref &made) { return *static_cast<const Table *>(made.vtable); }

void expect(const char *what, bool holds) {
  if (!holds) bad("%s", what);
}

void descriptors() {
  const rg_plugin *p = plugin_of();
  fake_look(p);
  expect("the names", std::string(p->name) == "classes" && std::string(p->version) == "1.2.3" &&
                          std::string(p->license) == "MIT" && p->n_components == 8);
  expect("the version of a component", std::string(fake_find(p, "bare-process")->version) == "9.8.7" &&
                                           fake_find(p, "bare")->version == nullptr);
  expect("kinds", fake_find(p, "bare")->kind == RG_KIND_TARGET && fake_find(p, "full-process")->kind == RG_KIND_PROCESS &&
                      fake_find(p, "asking")->kind == RG_KIND_SCORE && fake_find(p, "walk")->kind == RG_KIND_SAMPLER);
  const rg_component *full = fake_find(p, "full");
  const char *const defaults[5] = {"2.0", "3", "true", "\"calm\"", "[0.1, 1.0, 1e-300]"};
  for (int i = 0; i < 5; i++) {
    expect("a default", std::string(full->params[i]->default_toml) == defaults[i] && full->params[i]->required == 0);
    expect("a type", full->params[i]->type == i + 1);
  }
  expect("required", full->params[5]->required == 1 && full->params[5]->default_toml == nullptr);
  expect("ranges", full->params[0]->min == 0.5 && full->params[0]->max == 4.0 && std::isinf(full->params[4]->max));
  const char *const *choices = full->params[3]->choices;
  expect("choices", std::string(choices[1]) == "a \"wild\" one" && choices[2] == nullptr &&
                        full->params[0]->choices == nullptr);
  expect("escapes", detail::text_of(std::string("a\"\\\n")) == "\"a\\\"\\\\\\u000a\"");
  rg_host old = *fake_host();
  old.abi = 99;
  expect("a host of another version is refused", retrograde_plugin_v1(&old) == nullptr && fake_entry.text[0] != '\0');
  expect("no host is refused", retrograde_plugin_v1(nullptr) == nullptr);
  plugin_of();
}

void slots() {
  const rg_plugin *p = plugin_of();
  const auto &bare = *static_cast<const rg_target_vtable *>(fake_find(p, "bare")->vtable);
  expect("slots of a bare target", bare.dim && bare.eval && bare.destroy && !bare.hvp && !bare.name &&
                                       !bare.n_outputs && !bare.output_name && !bare.outputs &&
                                       bare.threading == RG_THREAD_SERIAL && bare.caps == 0);
  const auto &full = *static_cast<const rg_target_vtable *>(fake_find(p, "full")->vtable);
  expect("slots of a full target", full.hvp && full.name && full.n_outputs && full.output_name && full.outputs &&
                                       full.threading == RG_THREAD_CONCURRENT);
  const auto &few = *static_cast<const rg_process_vtable *>(fake_find(p, "bare-process")->vtable);
  expect("slots that every process has",
         few.info && few.drift && few.apply_g && few.apply_ggt && few.ref_sample && few.ref_eval);
  expect("slots of a bare process",
         !few.div_ggt && !few.linear && !few.transition_sample && !few.transition_score && !few.drift_vjp &&
             !few.drift_jvp && !few.drift_div && !few.int_g2 && !few.forward_map && !few.solve_noise && !few.restore &&
             !few.warp && !few.unwarp && !few.warp_score && !few.cdf && !few.quantile && !few.support && !few.flags && !few.time_of);
  const auto &all = *static_cast<const rg_process_vtable *>(fake_find(p, "full-process")->vtable);
  expect("slots of a full process",
         all.div_ggt && all.linear && all.transition_sample && all.transition_score && all.drift_vjp &&
             all.drift_jvp && all.drift_div && all.int_g2 && all.forward_map && all.solve_noise && all.restore &&
             all.warp && all.unwarp && all.warp_score && all.cdf && all.quantile && all.support && all.flags && !all.time_of);
  const auto &walk = *static_cast<const rg_sampler_vtable *>(fake_find(p, "walk")->vtable);
  const auto &stroll = *static_cast<const rg_sampler_vtable *>(fake_find(p, "stroll")->vtable);
  expect("slots of samplers", walk.start && walk.step && walk.end && walk.save && walk.load && !walk.rows &&
                                  !stroll.save && !stroll.load && stroll.rows);
}

/* Status and text of `eval` of a target that fails in the way `why`. */
std::pair<rg_status, std::string> failure(const std::string &why, int cancelled = 0) {
  const std::string given = "why=\"" + why + "\"";
  const char *const params[] = {given.c_str(), nullptr};
  const rg_ref made = fake_make(fake_find(plugin_of(), "full"), params, nullptr);
  fake_call call = fake_new(4);
  call.cancelled = cancelled;
  double x[33] = {}, l[11];
  const auto &t = table<rg_target_vtable>(made);
  const rg_status status = t.eval(made.object, raw(&call), 11, 3, x, l, nullptr);
  t.destroy(made.object);
  fake_done(&call);
  return {status, call.text};
}

void failures() {
  using Outcome = std::pair<rg_status, std::string>;
  expect("none", failure("none") == Outcome(RG_OK, ""));
  expect("std::logic_error", failure("logic") == Outcome(RG_ERR_CALLBACK, "a logical reason"));
  expect("std::bad_alloc", failure("memory").first == RG_ERR_MEMORY && !failure("memory").second.empty());
  expect("throw 7", failure("int").first == RG_ERR_CALLBACK && failure("int").second.find("no std::") != std::string::npos);
  expect("Error", failure("code") == Outcome(RG_ERR_NUMERIC, "a numerical reason"));
  expect("Error(RG_OK)", failure("ok").first == RG_ERR_CALLBACK);
  expect("too much scratch", failure("huge").first == RG_ERR_MEMORY);
  expect("in a block of rows", failure("rows") == Outcome(RG_ERR_CALLBACK, "row 7 is bad"));
  expect("in a job", failure("jobs") == Outcome(RG_ERR_DIM, "job 1 is bad"));
  expect("cancelled", failure("none", 1).first == RG_ERR_CANCELLED);

  const rg_component *full = fake_find(plugin_of(), "full");
  std::string refused;
  const auto create = [&](std::vector<const char *> given) {
    fake_call call = fake_new(5);
    rg_ref made;
    given.push_back(nullptr);
    const int before = alive;
    const rg_status status = fake_try(full, given.data(), nullptr, &call, &made);
    if (status == RG_OK) table<rg_target_vtable>(made).destroy(made.object);
    expect("nothing is left of an object", alive == before);
    refused = call.refused;
    return Outcome(status, call.text);
  };
  expect("made", create({"why=\"file\""}) == Outcome(RG_OK, ""));
  expect("a required one is missing", create({}).first == RG_ERR_CONFIG);
  expect("setting", create({"why=\"\"", "on=false"}) == Outcome(RG_ERR_CONFIG, "`on` is false: it must be true"));
  expect("setting of text", create({"why=\"\"", "mode=\"wild\""}).second == "`mode` is \"wild\": it must be \"calm\"");
  expect("the key is told", refused == "mode");
  expect("misspelt", create({"why=\"misspelt\""}) == Outcome(RG_ERR_NOT_FOUND, "`scales` is no parameter of it"));
  expect("mistyped", create({"why=\"mistyped\""}).first == RG_ERR_PLUGIN);
  expect("no file", create({"why=\"no file\""}) == Outcome(RG_ERR_NOT_FOUND, "no such file"));
  expect("no target", create({"why=\"target\""}).first == RG_ERR_CONFIG);
  expect("thrown in a constructor", create({"why=\"thrown\""}).first == RG_ERR_CALLBACK);

  const char *const params[] = {"why=\"none\"", nullptr};
  const rg_ref made = fake_make(full, params, nullptr);
  const auto &t = table<rg_target_vtable>(made);
  fake_call call = fake_new(6);
  double x[6] = {1, 2, 3, 4, 5, 6}, l[11], out[6];
  std::size_t need = 0, k = 0;
  char buf[32] = "";
  expect("a wrong dimension", t.eval(made.object, raw(&call), 1, 2, x, l, nullptr) == RG_ERR_DIM &&
                                  std::string(call.text) == "the dimension is 2, not 3");
  expect("hvp", t.hvp(made.object, raw(&call), 2, 3, x, x, out) == RG_OK && out[5] == -12.0);
  expect("name", t.name(made.object, raw(&call), 1, buf, sizeof buf, &need) == RG_OK && need == 13 &&
                     std::string(buf) == "coordinate_1");
  expect("outputs", t.n_outputs(made.object, raw(&call), &k) == RG_OK && k == 2 &&
                        t.outputs(made.object, raw(&call), 2, 3, 2, x, out) == RG_OK && out[2] == 15.0 && out[3] == 3.0);
  expect("a wrong number of outputs", t.outputs(made.object, raw(&call), 2, 3, 3, x, out) == RG_ERR_DIM);
  expect("no such output", t.output_name(made.object, raw(&call), 2, buf, 32, &need) == RG_ERR_CALLBACK);
  t.destroy(made.object);
}

void processes() {
  rg_deps deps{sizeof(rg_deps), 1, nullptr, nullptr, nullptr};
  const rg_component *component = fake_find(plugin_of(), "full-process");
  const rg_ref line = fake_make(component, nullptr, &deps);
  deps.dim = 2;
  const rg_ref plane = fake_make(component, nullptr, &deps);
  const auto &l = table<rg_process_vtable>(line);
  const auto &p = table<rg_process_vtable>(plane);
  expect("cdf and quantile for d = 1 alone", l.cdf && l.quantile && !p.cdf && !p.quantile && p.warp == l.warp);
  fake_call call = fake_new(7);
  rg_call *c = raw(&call);
  void *o = plane.object;
  const double t = 0.5, x[4] = {};
  double out[4], n[2];
  std::size_t d = 0, m = 0;
  double end = 0, low = 0, high = 0;
  const auto filled = [&](const char *what, rg_status status, double value) {
    if (status != RG_OK) bad("%s: status %d, %s", what, (int)status, call.text);
    for (double &v : out) {
      if (v != value) bad("%s: %g", what, v);
      v = -1.0;
    }
  };
  expect("info", p.info(o, c, &d, &m, &end) == RG_OK && d == 2 && m == 2 && end == 1.0);
  filled("drift", p.drift(o, c, 2, 2, &t, 0, x, out), 1);
  filled("apply_g", p.apply_g(o, c, 2, 2, 2, &t, 0, x, x, out), 2);
  filled("apply_ggt", p.apply_ggt(o, c, 2, 2, &t, 0, x, x, out), 3);
  filled("ref_sample", p.ref_sample(o, c, 2, 2, out), 4);
  filled("ref_eval", p.ref_eval(o, c, 2, 2, x, n, out), 6);
  expect("ref_eval", n[1] == 5 && p.ref_eval(o, c, 2, 2, x, nullptr, nullptr) == RG_OK);
  filled("div_ggt", p.div_ggt(o, c, 2, 2, &t, 0, x, out), 7);
  expect("linear", p.linear(o, c, 2, t, n, out) == RG_OK && n[1] == t && out[1] == 8 && out[2] == -1.0);
  filled("transition_sample", p.transition_sample(o, c, 2, 2, 0, 1, x, out), 9);
  filled("transition_score", p.transition_score(o, c, 2, 2, 0, 1, x, x, n, out), 11);
  filled("drift_vjp", p.drift_vjp(o, c, 2, 2, &t, 0, x, x, out), 12);
  filled("drift_jvp", p.drift_jvp(o, c, 2, 2, &t, 0, x, x, out), 13);
  expect("drift_div", p.drift_div(o, c, 2, 2, &t, 0, x, n) == RG_OK && n[0] == 14);
  expect("int_g2", p.int_g2(o, c, 0.25, 1.0, n) == RG_OK && n[0] == 0.75);
  filled("forward_map", p.forward_map(o, c, 2, 2, 0, 1, x, x, out), 15);
  filled("solve_noise", p.solve_noise(o, c, 2, 2, 0, 1, x, x, out), 16);
  filled("restore", p.restore(o, c, 2, 2, 1, 0.5, x, x, out), 17);
  filled("warp", p.warp(o, c, 2, 2, x, out, n), 18);
  expect("log_det", n[1] == 19 && p.warp(o, c, 2, 2, x, nullptr, nullptr) == RG_OK);
  filled("unwarp", p.unwarp(o, c, 2, 2, x, out), 20);
  filled("warp_score", p.warp_score(o, c, 2, 2, x, x, out), 21);
  filled("cdf", l.cdf(line.object, c, 4, 0, 1, x, x, out), 22);
  filled("quantile", l.quantile(line.object, c, 4, 0, 1, x, x, out), 23);
  expect("support", p.support(o, c, &low, &high) == RG_OK && low == -1.0 && high == 24.0);
  fake_flags = 0;
  expect("flags", p.flags(o, c) == RG_OK && fake_flags == 1);
  expect("a wrong dimension", p.drift(o, c, 1, 3, &t, 0, x, out) == RG_ERR_DIM);
  expect("a wrong noise", p.apply_g(o, c, 1, 2, 1, &t, 0, x, x, out) == RG_ERR_DIM);
  l.destroy(line.object);
  p.destroy(plane.object);
}

void times() {
  const rg_ref made = fake_make(fake_find(plugin_of(), "timed"), nullptr, nullptr);
  const auto &p = table<rg_process_vtable>(made);
  fake_call call = fake_new(7);
  double t = 0.0;
  expect("time_of", p.time_of(made.object, raw(&call), 2.5, 3.0, &t) == RG_OK && t == 2.5);
  expect("no such time", p.time_of(made.object, raw(&call), 3.5, 3.0, &t) == RG_ERR_ARG);
  p.destroy(made.object);
}

void scores() {
  const rg_plugin *p = plugin_of();
  const rg_ref target = fake_make(fake_find(p, "bare"), nullptr, nullptr);
  const rg_ref process = fake_make(fake_find(p, "bare-process"), nullptr, nullptr);
  const rg_deps deps{sizeof(rg_deps), 2, &target, &process, nullptr};
  const rg_ref made = fake_make(fake_find(p, "asking"), nullptr, &deps);
  const auto &s = table<rg_score_vtable>(made);
  fake_call call = fake_new(8);
  const double t[2] = {0.25, 0.75}, x[6] = {1, 2, 3, 4, 5, 6};
  double out[8];
  expect("eval, a time for each", s.eval(made.object, raw(&call), 2, 2, t, 1, x, out) == RG_OK && out[0] == 3.5 &&
                                      out[1] == 19.0 && out[2] == 8.5);
  expect("eval, one time", s.eval(made.object, raw(&call), 2, 2, t, 0, x, out) == RG_OK && out[1] == 9.0 && out[2] == 3.5);
  expect("a slot that is not there", s.eval(made.object, raw(&call), 3, 2, t, 0, x, out) == RG_ERR_UNSUPPORTED);
  expect("jvp", s.jvp(made.object, raw(&call), 1, 2, 3, t, 0, x, x, out) == RG_OK && out[5] == 18.0);
  expect("log_marginal", s.log_marginal(made.object, raw(&call), 2, 2, t, 1, x, out) == RG_OK && out[1] == 3.75);
  /* What a part says it failed of is what is said. */
  table<rg_score_vtable>(made).destroy(made.object);
  table<rg_target_vtable>(target).destroy(target.object);
  table<rg_process_vtable>(process).destroy(process.object);
  fake_done(&call);
}

void samplers() {
  const rg_plugin *p = plugin_of();
  const rg_ref made = fake_make(fake_find(p, "walk"), nullptr, nullptr);
  const auto &s = table<rg_sampler_vtable>(made);
  std::vector<double> draws[2];
  for (int saved = 0; saved < 2; saved++) {
    fake_sink sink{};
    fake_call call = fake_new(9);
    void *run = nullptr;
    expect("start", s.start(made.object, raw(&call), 5, &run) == RG_OK);
    std::int32_t done = 0;
    for (std::uint64_t k = 0; done == 0; k++) {
      fake_call step = fake_new(100 + k);
      step.sink = &sink;
      if (s.step(made.object, raw(&step), run, &done) != RG_OK) fake_stop("step", step.text);
      fake_done(&step);
      if (saved == 0 || done != 0) continue;
      std::size_t need = 0, again = 0;
      char small = 'x';
      expect("save", s.save(made.object, raw(&call), run, nullptr, 0, &need) == RG_OK && need == 8 * 13);
      expect("a small buffer", s.save(made.object, raw(&call), run, &small, 1, &again) == RG_OK && small == 'x');
      std::vector<char> buf(need);
      expect("save", s.save(made.object, raw(&call), run, buf.data(), need, &again) == RG_OK && again == need);
      s.end(made.object, run);
      for (std::size_t cut = 0; cut < need; cut++)
        expect("a cut state", s.load(made.object, raw(&call), buf.data(), cut, &run) == RG_ERR_IO);
      buf.push_back(0);
      expect("a long state", s.load(made.object, raw(&call), buf.data(), need + 1, &run) == RG_ERR_IO);
      buf[15] = 1; // done
      expect("a state that is done", s.load(made.object, raw(&call), buf.data(), need, &run) == RG_ERR_IO &&
                                         std::strstr(call.text, "it is done") != nullptr);
      buf[15] = 0, buf[6] = 1; // n
      expect("a state of another length", s.load(made.object, raw(&call), buf.data(), need, &run) == RG_ERR_IO);
      buf[6] = 0;
      expect("load", s.load(made.object, raw(&call), buf.data(), need, &run) == RG_OK);
    }
    s.end(made.object, run);
    expect("what was handed over", sink.rows == 5 && sink.weighted == 1 && sink.stats == 1 && sink.chains == 1 &&
                                       sink.flags == 1 && std::string(sink.keys) == "log_z ladder walked " &&
                                       sink.progress == 1.0);
    draws[saved].assign(sink.x, sink.x + 10);
    std::free(sink.x);
    fake_done(&call);
  }
  expect("the same draws", draws[0] == draws[1]);
  fake_call call = fake_new(10);
  void *run = nullptr;
  expect("a start that fails", s.start(made.object, raw(&call), 13, &run) == RG_ERR_CONFIG && run == nullptr);
  s.destroy(made.object);

  const rg_ref other = fake_make(fake_find(p, "stroll"), nullptr, nullptr);
  const auto &q = table<rg_sampler_vtable>(other);
  std::size_t rows = 0;
  std::int32_t done = 5;
  fake_sink sink{};
  expect("rows", q.rows(other.object, raw(&call), 8, &rows) == RG_OK && rows == 4);
  expect("start", q.start(other.object, raw(&call), 8, &run) == RG_OK);
  expect("a step outside of one", q.step(other.object, raw(&call), run, &done) == RG_ERR_UNSUPPORTED &&
                                      std::strstr(call.text, "in `step`") != nullptr);
  call.sink = &sink;
  expect("wrong weights", q.step(other.object, raw(&call), run, &done) == RG_OK && done == 0 && sink.rows == 1 &&
                              q.step(other.object, raw(&call), run, &done) == RG_ERR_DIM);
  q.end(other.object, run);
  q.destroy(other.object);
  std::free(sink.x);
}

} // namespace

int main() {
  descriptors();
  slots();
  failures();
  processes();
  times();
  scores();
  samplers();
  expect("nothing is left", alive == 0);
  return fake_report();
}
