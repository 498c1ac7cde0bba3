# Draws of a job, a row each on standard output: draws.jl JOB.toml SEED N
include("Retrograde.jl")
using .Retrograde

path, seed, n = ARGS
result = run(Sampler(Context(); job = read(path, String)); seed = parse(Int, seed), draws = parse(Int, n))
for x in eachcol(draws(result))
    println(join(x, ' '))
end
