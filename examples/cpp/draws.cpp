/* Draws of a job, a row each on standard output: draws JOB.toml SEED N */
#include <retrograde.hpp>

#include <cstdio>
#include <fstream>
#include <sstream>

int main(int argc, char **argv) try {
  if (argc != 4) return 2;
  std::stringstream job;
  job << std::ifstream(argv[1]).rdbuf();
  const retrograde::context cx;
  retrograde::options options;
  options.seed = std::stoull(argv[2]);
  options.draws = std::stoull(argv[3]);
  const auto draws = retrograde::sampler::of_job(cx, job.str()).run(options).draws();
  for (std::size_t i = 0; i < draws.size(); i++)
    for (std::size_t j = 0; j < draws.dim(); j++)
      std::printf("%.17g%c", draws(i, j), j + 1 < draws.dim() ? ' ' : '\n');
  return 0;
} catch (const std::exception &e) {
  std::fprintf(stderr, "draws: %s\n", e.what());
  return 1;
}
