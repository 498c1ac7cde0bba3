/* my-component: a sampler. Write here what it does, and where it comes from.
 *
 *   x' = x + s z,   z ~ N(0, I),   accepted with probability min(1, p(x') / p(x))
 *
 * As it stands it is random-walk Metropolis (Metropolis et al. 1953): replace parameters, state and `step`
 * by your own, and keep the tests. */
#include <retrograde_plugin.hpp>

#include <cmath>

using namespace retrograde::plugin;

namespace {

class MyComponent : public Sampler {
public:
  static constexpr About about = About("my-component", "One sentence for `list`\nAuthor (year), title")
                                     .needs(RG_NEEDS_TARGET | RG_NEEDS_DENSITY)
                                     .threading(RG_THREAD_CONCURRENT);

  static Parameters parameters() {
    return {
        number("scale", "Standard deviation s of a move, > 0").min(0.0).defaults_to(1.0),
        integer("moves", "Moves; every chain leaves its last point").min(1).max(1e12).defaults_to(1000),
    };
  }

  /* A component may keep its parts. */
  MyComponent(const Params &params, const Parts &parts)
      : dim_(parts.dim()), scale_(params.number("scale")), moves_(params.size("moves")), target_(parts.target()) {
    if (!(scale_ > 0.0) || !std::isfinite(scale_)) throw setting("scale", scale_, "a number above 0");
  }

  /* What the next step needs, and nothing else: it is what a checkpoint holds. Random numbers are not part
   * of it, for every step has its own. */
  struct Run {
    std::size_t n;
    std::uint64_t done;
    std::vector<double> x, logp;
  };

  Run start(Call &call, std::size_t n) const {
    if (n > std::numeric_limits<std::size_t>::max() / 16 / dim_) throw std::bad_alloc();
    Run run{n, 0, std::vector<double>(n * dim_), std::vector<double>(n)};
    call.normal(points(run));
    target_.eval(call, points(run), Vec(run.logp.data(), n), {});
    return run;
  }

  Flow step(Step &step, Run &run) const {
    const Mat moved = step.scratch(run.n, dim_);
    const Vec value = step.scratch(run.n), u = step.scratch(run.n);
    step.normal(moved);
    step.uniform(u);
    for (std::size_t k = 0; k < run.x.size(); k++) moved.data()[k] = run.x[k] + scale_ * moved.data()[k];
    target_.eval(step, moved, value, {});
    for (std::size_t i = 0; i < run.n; i++)
      if (std::log(u[i]) < value[i] - run.logp[i]) { // false where there is no number
        for (std::size_t j = 0; j < dim_; j++) run.x[i * dim_ + j] = moved(i, j);
        run.logp[i] = value[i];
      }
    run.done++;
    step.progress(static_cast<double>(run.done) / static_cast<double>(moves_));
    if (run.done < moves_) return Flow::more;
    step.emit(points(run), {}, {{"lp", ConstVec(run.logp.data(), run.n)}});
    return Flow::done;
  }

  void save(Call &, const Run &run, Writer &out) const {
    out.put(static_cast<std::uint64_t>(run.n));
    out.put(run.done);
    out.put(run.x);
    out.put(run.logp);
  }

  Run load(Call &, Reader &in) const {
    Run run{static_cast<std::size_t>(in.u64()), in.u64(), {}, {}};
    if (run.n > in.left() / 8 / dim_ || run.done > moves_) Reader::damaged("numbers that cannot be");
    run.x = in.numbers(run.n * dim_);
    run.logp = in.numbers(run.n);
    return run;
  }

private:
  Mat points(Run &run) const { return Mat(run.x.data(), run.n, dim_); }

  std::size_t dim_;
  double scale_;
  std::uint64_t moves_;
  TargetRef target_;
};

} // namespace

RETROGRADE_PLUGIN("my-component", "0.1.0", "MIT OR Apache-2.0", MyComponent)
