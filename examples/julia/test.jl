# Everything in Retrograde.jl, against known answers: julia test.jl
include("Retrograde.jl")
using .Retrograde
using Test, LinearAlgebra

struct OwnError <: Exception
    text::String
end

# Fields of C structs by name and place, for whoever compares them.
for T in (Retrograde.RunOptions, Progress)
    fields = ["$(fieldname(T, i))@$(fieldoffset(T, i))" for i in 1:fieldcount(T)]
    println("layout ", nameof(T), " ", sizeof(T), " ", join(fields, " "))
end

cx = Context()
function normal(x, logp, grad)
    logp === nothing || (logp .= vec(sum(abs2, x; dims = 1)) ./ -2)
    grad === nothing || (grad .= .-x)
end
bowl = Target(normal, cx, 2)
# The standard error of log Z is part of what is tested, so five of them.
near(value, truth, se) = abs(value - truth) < 5 * se
# One well of the README, by the trapezoid rule, which is exact to rounding for a function that vanishes at both ends.
well = log(sum(x -> exp(-2 * (x^2 - 1)^2), -4:1e-3:4) * 1e-3)

@testset "registry" begin
    @test "smc" in names_of(cx, :sampler) && "vp" in names_of(cx, :process)
    @test occursin("\"name\":\"smc\"", describe(cx, :sampler, "smc"))
    e = try Target(cx, "gmm4") catch e; e end
    @test e isa RetrogradeError && e.status == 6 && occursin("gmm40", e.message)
    @test occursin("RG_ERR_NOT_FOUND", sprint(showerror, e))
    @test_throws RetrogradeError Sampler(cx, "smc", bowl, "movez = 3")
    @test_throws RetrogradeError load_plugin(cx, "/there/is/none.so")
    @test scan_plugins(cx, mktempdir()) == (ok = 0, bad = 0)
end

@testset "targets" begin
    @test dim(bowl) == 2
    x = [1.0 0.0 3.0; 0.0 2.0 -1.0]
    @test density(bowl, x) == [-0.5, -2.0, -5.0]
    @test gradient(bowl, x) == -x
    # Points with gaps between them, and points that are not columns in memory.
    wide = [x; fill(NaN, 1, 3)]
    @test gradient(bowl, view(wide, 1:2, :)) == -x
    @test gradient(bowl, transpose(permutedims(x))) == -x
    @test density(bowl, [3, 4]) == [-12.5]
    @test density(bowl, zeros(2, 0)) == []
    @test_throws RetrogradeError density(bowl, zeros(3, 1))
    @test occursin("\"points\":3", check_gradient(bowl, x))
    wrong = of_points(cx, 2, x -> -sum(abs2, x) / 2, (g, x) -> g .= x)
    @test_throws RetrogradeError check_gradient(wrong, x)
    @test_throws DimensionMismatch check_gradient(bowl, zeros(3, 1))
    half = bounded(cx, bowl; lower = [0.0, -Inf])
    @test_throws DimensionMismatch bounded(cx, bowl; lower = [0.0])
    r = run(Sampler(cx, "smc", half); draws = 2000)
    @test near(scalar(r, "log_z"), log(2π) - log(2), scalar(r, "log_z_se"))
    @test size(draws(r)) == (2, 2000) && all(draws(r)[1, :] .> 0)
    # Which a half-normal has, and its standard error.
    @test near(sum(draws(r)[1, :]) / 2000, sqrt(2 / π), sqrt((1 - 2 / π) / 2000))
end

@testset "runs" begin
    points = of_points(cx, 2, x -> -2 * sum(u -> (u^2 - 1)^2, x), (g, x) -> g .= -8 .* (x .^ 2 .- 1) .* x)
    smc = Sampler(cx, "smc", points)
    r = run(smc; draws = 2000, seed = 3)
    x = draws(r)
    @test size(x) == (2, 2000) && complete(r) && chains(r) == 1
    @test near(scalar(r, "log_z"), 2 * well, scalar(r, "log_z_se"))
    @test 0 < scalar(r, "log_z_se") < 0.1
    @test occursin("\"one_core\"", json(r))
    # A control: another density is told from this one.
    @test !near(scalar(r, "log_z"), 2 * well + 0.2, scalar(r, "log_z_se"))
    # Batches, in threads of their own, are the same target.
    spread = Target(cx, 2) do x, logp, grad
        Threads.@threads for i in axes(x, 2)
            logp === nothing || (logp[i] = -2 * sum(u -> (u^2 - 1)^2, view(x, :, i)))
            grad === nothing || (grad[:, i] .= -8 .* (x[:, i] .^ 2 .- 1) .* x[:, i])
        end
    end
    @test draws(run(Sampler(cx, "smc", spread); draws = 2000, seed = 3)) == x
    @test draws(run(smc; draws = 2000, seed = 3, threads = 1)) == x
    @test draws(run(smc; draws = 2000, seed = 4)) != x
    @test_throws RetrogradeError scalar(r, "log_zed")
    @test_throws RetrogradeError log_weights(r)
    @test_throws RetrogradeError outputs(r)
    @test_throws RetrogradeError run(smc; threads = 2000)
    # Garbage is collected in the midst, and what was made from an object outlives it.
    dirty = Target((x, l, g) -> (GC.gc(false); normal(x, l, g)), cx, 2)
    s = Sampler(cx, "ula", dirty, "chains = 4")
    close(dirty)
    @test_throws RetrogradeError dim(dirty)
    dirty = nothing
    GC.gc()
    @test size(draws(run(s; draws = 100))) == (2, 100)
    # Tasks that run one sampler wait for one another.
    tasks = [Threads.@spawn draws(run(smc; draws = 2000, seed = 3)) for _ in 1:4]
    @test all(t -> fetch(t) == x, tasks)
end

@testset "exceptions and stops" begin
    calls, bad = 0, 0
    moody = Target(cx, 2) do x, logp, grad
        (calls += 1) == bad && throw(OwnError("no energy today"))
        normal(x, logp, grad)
    end
    s = Sampler(cx, "ula", moody, "chains = 4\nwarmup = 10")
    whole = draws(run(s; draws = 100))
    all_calls = calls
    for k in 1:5:all_calls
        calls, bad = 0, k
        e = try run(s; draws = 100) catch e; e end
        @test e isa OwnError && e.text == "no energy today"
    end
    calls, bad = 0, 0
    @test draws(run(s; draws = 100)) == whole
    calls, bad = 0, 1
    @test_throws OwnError density(moody, [0.0, 0.0])
    calls = 0
    @test_throws OwnError check_gradient(moody, [0.0, 0.0])
    bad = 0
    # From inside of its own function a target is busy, and says so.
    inner = nothing
    inner = Target((x, l, g) -> density(inner, [0.0, 0.0]), cx, 2)
    e = try density(inner, [0.0, 0.0]) catch e; e end
    @test e isa RetrogradeError && e.status == 20
    # Progress that watches, stops, throws.
    slow = Target((x, l, g) -> (sleep(0.002); normal(x, l, g)), cx, 2)
    s = Sampler(cx, "ula", slow, "chains = 4\nwarmup = 10")
    seen = Progress[]
    run(s; draws = 400, progress = p -> push!(seen, p))
    @test !isempty(seen) && seen[end].struct_size == sizeof(Progress) && issorted([p.step for p in seen])
    r = run(s; draws = 400, progress = p -> false)
    @test !complete(r)
    @test_throws RetrogradeError draws(r)
    @test size(partial_draws(r), 1) == 2
    @test_throws OwnError run(s; draws = 400, progress = p -> throw(OwnError("watched too long")))
    # Ctrl-C is thrown in Julia code like this.
    @test_throws InterruptException run(s; draws = 400, progress = p -> throw(InterruptException()))
    flag = Cancel()
    r = run(s; draws = 400, cancel = flag, progress = p -> cancel(flag))
    @test !complete(r)
    @test !complete(run(s; draws = 400, cancel = flag))
end

@testset "processes and scores" begin
    vp = Process(cx, "vp", bowl)
    @test (info(vp).d, info(vp).m) == (2, 2)
    x = [1.0 -2.0 0.5; 0.0 1.0 3.0]
    alpha, sigma2 = linear(vp, 0.5)
    @test alpha^2 + sigma2 ≈ 1
    # What preserves the standard normal has it as its law at any time: the score is -x, and the drift beta / 2 of it.
    exact = Score(cx, "exact", Target(cx, "gaussian", "mean = [0.0, 0.0]\nsd = 1.0"), vp)
    @test score(exact, 0.5, x) ≈ -x
    f = drift(vp, [0.1, 0.5, 0.9], x)
    @test f[:, 2] ≈ drift(vp, 0.5, x)[:, 2] && f[:, 1] != drift(vp, 0.5, x)[:, 1]
    # It pulls straight to the middle.
    @test all(i -> f[:, i] ≈ (f[1, i] / x[1, i]) .* x[:, i], 1:3) && all(f[1, :] ./ x[1, :] .< 0)
    x1 = simulate(vp, repeat([1.0, -1.0], 1, 10_000), 0.0, 0.5; seed = 4)
    for (i, x0) in enumerate((1.0, -1.0))
        m = sum(x1[i, :]) / 10_000
        @test near(m, alpha * x0, sqrt(sigma2 / 10_000))
        @test near(sum(abs2, x1[i, :] .- m) / 10_000, sigma2, sigma2 * sqrt(2 / 10_000))
    end
    # What a target throws comes out of the score that is made from it.
    angry = Target((x, l, g) -> throw(OwnError("no")), cx, 2)
    guess = Score(cx, "monte-carlo", angry, Process(cx, "vp", angry))
    @test_throws OwnError score(guess, 0.5, x)
    @test_throws RetrogradeError score(exact, 1.5, x)
    @test_throws DimensionMismatch score(exact, [0.5], x)
    @test_throws RetrogradeError drift(vp, -1.0, x)
    gmm = Target(cx, "gmm40")
    edm = Process(cx, "edm", gmm)
    s = Sampler(cx, "edm", gmm, "weights = \"jacobian\"\ngrid = { steps = 40 }";
                process = edm, score = Score(cx, "exact", gmm, edm))
    r = run(s; draws = 2000)
    @test length(log_weights(r)) == 2000
    # A Gaussian of two dimensions each, normalised.
    @test near(scalar(r, "log_z"), 0.0, scalar(r, "log_z_se"))
    diffusion = "seed = 1\n[process]\nkind = \"vp\"\n[score]\nkind = \"exact\"\n[sampler]\nkind = \"reverse-sde\"\n"
    job = diffusion * "[target]\nkind = \"gaussian\"\nmean = [0.0, 0.0]\nsd = 1.0\n"
    @test occursin("{", certify(cx, job; paths = 64))
end

@testset "jobs" begin
    folder = mktempdir()
    job = "seed = 5\ndraws = 400\n[sampler]\nkind = \"ula\"\nchains = 4\nwarmup = 10\n"
    whole = draws(run_job(cx, job; target = bowl, directory = joinpath(folder, "whole")))
    @test size(whole) == (2, 400)
    slow = Target((x, l, g) -> (sleep(0.005); normal(x, l, g)), cx, 2)
    part = joinpath(folder, "part")
    r = run_job(cx, job; target = slow, directory = part, progress = p -> false)
    @test !complete(r)
    @test_throws RetrogradeError run_job(cx, job; target = bowl, directory = part)
    r = resume_job(cx, part; target = bowl)
    @test complete(r) && draws(r) == whole
    @test_throws RetrogradeError resume_job(cx, part)
    @test_throws RetrogradeError resume_job(cx, part; target = bounded(cx, bowl; lower = [0.0, 0.0]))
    # Complete already: what is in its files.
    @test draws(resume_job(cx, part; target = bowl)) == whole
    @test draws(run_job(cx, job; target = bowl, directory = part, flags = Retrograde.REPLACE)) == whole
    @test draws(run_job(cx, job; target = bowl, directory = joinpath(folder, "other"), seed = 6)) != whole
    e = try run_job(cx, "[sampler]\nkind = 3"; target = bowl, directory = joinpath(folder, "bad")) catch e; e end
    @test e isa RetrogradeError && e.status == 5 && occursin("2:", e.detail)
end
