"""
Draws, and log Z, from a density that can be evaluated but not normalised: `libretrograde` for Julia 1.5 and later.

    include("Retrograde.jl")
    using .Retrograde

    cx = Context()
    bowl = Target(cx, 2) do x, logp, grad                 # columns of x are points
        logp === nothing || (logp .= vec(sum(abs2, x; dims = 1)) ./ -2)
        grad === nothing || (grad .= .-x)
    end
    result = run(Sampler(cx, "smc", bowl); draws = 1000)
    draws(result)                                         # 2 × 1000
    scalar(result, "log_z")                               # log 2π

The library is looked for as `libretrograde`, or as what the environment variable `RETROGRADE_LIBRARY` holds.

A matrix d × n of Julia is the array n × d of the C interface, and is handed over without a copy. An error is thrown as
a [`RetrogradeError`](@ref); what a function of yours throws comes out of the call that it was called from. Your
functions are called on the thread that called `run`, never at once, so that they may be any Julia code: a batch is
theirs to spread over threads (`Threads.@threads`). Objects are freed with the garbage, or sooner by `close`.

Settings are TOML, the keys that a job has in its table without `kind`; `describe` tells them. retrograde.h documents
the functions that each of these calls.
"""
module Retrograde

export Context, Target, Process, Score, Sampler, Cancel, Result, Progress, RetrogradeError
export names_of, describe, load_plugin, scan_plugins
export of_points, bounded, dim, density, gradient, check_gradient
export info, linear, drift, simulate, score
export run_job, resume_job, certify, cancel
export draws, partial_draws, outputs, log_weights, scalar, json, chains, complete

const libretrograde = get(ENV, "RETROGRADE_LIBRARY", "libretrograde")

# Of retrograde.h and retrograde_plugin.h.
const ABI, ABI_MINOR = 0, 1
const OK, ERR_BUFFER, ERR_CALLBACK, ERR_CANCELLED = Int32(0), Int32(8), Int32(11), Int32(13)
const CAP_ROWWISE, CAP_DETERMINISTIC, CAP_GRADIENT = UInt64(1), UInt64(2), UInt64(4)
const THREAD_CALLER = Int32(0)
const BASELINE_SIMD, REPLACE = UInt32(1), UInt32(2)
const KINDS = (target = Int32(1), process = Int32(2), score = Int32(3), sampler = Int32(4))

# ------------------------------------------------------------------------------------------------ errors and strings

"What the library reported: its status code, its sentence, and that with its causes."
struct RetrogradeError <: Exception
    status::Int32
    message::String
    detail::String
end

function Base.showerror(io::IO, e::RetrogradeError)
    name = unsafe_string(@ccall libretrograde.rg_status_name(e.status::Int32)::Cstring)
    print(io, e.detail, " (", name, ")")
end

# The place of an error, which `taken` empties.
const Place = Ref{Ptr{Cvoid}}

function taken(err::Place, status)
    e = RetrogradeError(
        status,
        unsafe_string(@ccall libretrograde.rg_error_message(err[]::Ptr{Cvoid})::Cstring),
        unsafe_string(@ccall libretrograde.rg_error_detail(err[]::Ptr{Cvoid})::Cstring),
    )
    @ccall libretrograde.rg_error_free(err[]::Ptr{Cvoid})::Cvoid
    err[] = C_NULL
    e
end

# Calls `f`, which gets the place for an error and returns a status.
function checked(f)
    err = Place(C_NULL)
    status = f(err)
    status == OK || throw(taken(err, status))
    nothing
end

# What `f(buf, cap, need, err)` writes. The buffer is large at once, for some of these compute anew each time.
function text(f)
    cap = 1 << 16
    while true
        buf, need, err = Vector{UInt8}(undef, cap), Ref{Csize_t}(0), Place(C_NULL)
        status = f(buf, cap, need, err)
        status == OK && return GC.@preserve buf unsafe_string(pointer(buf))
        e = taken(err, status)
        status == ERR_BUFFER && need[] > cap || throw(e)
        cap = Int(need[])
    end
end

# ------------------------------------------------------------------------------------------------------------ objects

# A function of the user, what it threw, and a lock: a thread that waits in the library would never let another
# collect garbage, so it waits here.
mutable struct Callback
    f::Any
    thrown::Any
    lock::ReentrantLock
end
Callback(f) = Callback(f, nothing, ReentrantLock())

abstract type Handle end

# `ccall` keeps what `cconvert` gives alive through the call.
Base.cconvert(::Type{Ptr{Cvoid}}, h::Handle) = h
Base.unsafe_convert(::Type{Ptr{Cvoid}}, h::Handle) = h.ptr
Base.show(io::IO, h::Handle) = print(io, typeof(h), h.ptr == C_NULL ? " (closed)" : "")

"Frees an object now; the library keeps what others still need of it."
Base.close(h::Handle) = finalize(h)

for (T, free, doc) in (
    (:Context, :rg_context_free, "The components that can be asked for by kind and name."),
    (:Target, :rg_target_free, "A log density, mostly not normalised."),
    (:Process, :rg_process_free, "A forward process, from data at t = 0 to noise at t = t_end."),
    (:Score, :rg_score_free, "The gradient of the log density of a process at a time, or an estimate of it."),
    (:Sampler, :rg_sampler_free, "A sampler with what it samples."),
    (:Result, :rg_result_free, "What a run gave."),
    (:Cancel, :rg_cancel_free, "A flag that stops runs."),
)
    @eval begin
        @doc $doc mutable struct $T <: Handle
            ptr::Ptr{Cvoid}
            callback::Union{Callback,Nothing} # which the library calls as long as this one lives
            function $T(make::Function, callback::Union{Callback,Nothing})
                out = Ref{Ptr{Cvoid}}(C_NULL)
                guarded(err -> make(out, err), callback)
                h = new(out[], callback)
                finalizer(h) do h
                    @ccall libretrograde.$free(h.ptr::Ptr{Cvoid})::Cvoid
                    h.ptr = C_NULL
                end
            end
        end
    end
end

# As `checked`, for calls in which the function of a target may be called.
function guarded(f, callback::Union{Callback,Nothing})
    callback === nothing && return checked(f)
    lock(callback.lock)
    try
        err = Place(C_NULL)
        status = f(err)
        status == OK || throw(reason(callback, taken(err, status)))
    finally
        unlock(callback.lock)
    end
    nothing
end

# What the user's function threw, if that is why a call failed.
function reason(callback::Callback, e::RetrogradeError)
    thrown, callback.thrown = callback.thrown, nothing
    e.status == ERR_CALLBACK && thrown !== nothing ? thrown : e
end
reason(::Nothing, e) = e

or_null(x) = x === nothing ? C_NULL : x
callback_of(h::Handle) = h.callback
callback_of(::Nothing) = nothing
# Of parts that are made from one target, if from any.
function first_of(parts...)
    all = filter(!isnothing, map(callback_of, collect(Any, parts)))
    isempty(all) ? nothing : first(all)
end

# ------------------------------------------------------------------------------------------------------------ context

"A context that holds every built-in component."
Context() = Context(nothing) do out, err
    @ccall libretrograde.rg_context_new(out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
end

"Loads a plugin: its components are in the context then, as `plugin/component`."
load_plugin(cx::Context, path::AbstractString) = checked() do err
    @ccall libretrograde.rg_context_load_plugin(cx::Ptr{Cvoid}, path::Cstring, err::Ptr{Ptr{Cvoid}})::Int32
end

"Loads every plugin of a folder, `nothing` for the usual ones: how many could be loaded, and how many not."
function scan_plugins(cx::Context, folder::Union{AbstractString,Nothing} = nothing)
    ok, bad = Ref{Csize_t}(0), Ref{Csize_t}(0)
    checked() do err
        @ccall libretrograde.rg_context_scan_plugins(
            cx::Ptr{Cvoid}, or_null(folder)::Cstring, ok::Ptr{Csize_t}, bad::Ptr{Csize_t},
            err::Ptr{Ptr{Cvoid}})::Int32
    end
    (ok = Int(ok[]), bad = Int(bad[]))
end

"Names of the components of a kind: `:target`, `:process`, `:score` or `:sampler`."
function names_of(cx::Context, kind::Symbol)
    n = Ref{Csize_t}(0)
    checked() do err
        @ccall libretrograde.rg_context_count(
            cx::Ptr{Cvoid}, KINDS[kind]::Int32, n::Ptr{Csize_t}, err::Ptr{Ptr{Cvoid}})::Int32
    end
    [text() do buf, cap, need, err
         @ccall libretrograde.rg_context_name(
             cx::Ptr{Cvoid}, KINDS[kind]::Int32, i::Csize_t, buf::Ptr{UInt8}, cap::Csize_t, need::Ptr{Csize_t},
             err::Ptr{Ptr{Cvoid}})::Int32
     end for i in 0:Int(n[])-1]
end

"A component as a JSON object: summary, source, and the JSON Schema of its settings."
describe(cx::Context, kind::Symbol, name::AbstractString) = text() do buf, cap, need, err
    @ccall libretrograde.rg_context_describe(
        cx::Ptr{Cvoid}, KINDS[kind]::Int32, name::Cstring, buf::Ptr{UInt8}, cap::Csize_t, need::Ptr{Csize_t},
        err::Ptr{Ptr{Cvoid}})::Int32
end

# ------------------------------------------------------------------------------------------------------------ targets

# What the library calls: `user` points to a Callback, which the Target keeps alive.
function evaluate(user, n, d, x, logp, grad)::Int32
    callback = unsafe_pointer_to_objref(user)::Callback
    try
        callback.f(
            unsafe_wrap(Array, x, (Int(d), Int(n))),
            logp == C_NULL ? nothing : unsafe_wrap(Array, logp, Int(n)),
            grad == C_NULL ? nothing : unsafe_wrap(Array, grad, (Int(d), Int(n))),
        )
        OK
    catch e
        callback.thrown = e
        ERR_CALLBACK
    end
end
const evaluate_c = Ref{Ptr{Cvoid}}(C_NULL)

"One of the registry."
Target(cx::Context, name::AbstractString, toml::AbstractString = "") = Target(nothing) do out, err
    @ccall libretrograde.rg_target_new(
        cx::Ptr{Cvoid}, name::Cstring, toml::Cstring, out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
end

"""
    Target(f, cx, d; gradient = true)

A function of many points at once: `f(x, logp, grad)` gets the points as the columns of `x`, d × n, and fills `logp`,
n numbers, and `grad`, d × n; either is `nothing` where it is not wanted. The arrays are the library's, and valid until `f`
returns. `gradient = false`: `f` gives none.
"""
function Target(f, cx::Context, d::Integer; gradient::Bool = true)
    callback = Callback(f)
    caps = CAP_DETERMINISTIC | (gradient ? CAP_GRADIENT : UInt64(0))
    Target(callback) do out, err
        @ccall libretrograde.rg_target_from_batch(
            cx::Ptr{Cvoid}, d::Csize_t, evaluate_c[]::Ptr{Cvoid}, pointer_from_objref(callback)::Ptr{Cvoid},
            C_NULL::Ptr{Cvoid}, caps::UInt64, THREAD_CALLER::Int32, out::Ptr{Ptr{Cvoid}},
            err::Ptr{Ptr{Cvoid}})::Int32
    end
end

"""
    of_points(cx, d, logdensity[, gradient!])

Functions of one point: `logdensity(x)` gives a number, `gradient!(g, x)` fills g.
"""
function of_points(cx::Context, d::Integer, logdensity, gradient! = nothing)
    Target(cx, d; gradient = gradient! !== nothing) do x, logp, grad
        for i in axes(x, 2)
            point = view(x, :, i)
            logp === nothing || (logp[i] = logdensity(point))
            grad === nothing || gradient!(view(grad, :, i), point)
        end
    end
end

"""
    bounded(cx, target; lower = nothing, upper = nothing)

The same within limits, infinite where there is none; `draws` lie within them. Samplers work on a scale without limits,
which is also that of `density` and `gradient` of what this gives.
"""
function bounded(cx::Context, t::Target; lower = nothing, upper = nothing)
    limits = map((lower, upper)) do side
        side === nothing && return C_NULL
        length(side) == dim(t) || throw(DimensionMismatch("$(length(side)) limits for $(dim(t)) coordinates"))
        Vector{Cdouble}(side)
    end
    Target(t.callback) do out, err
        @ccall libretrograde.rg_target_bounded(
            cx::Ptr{Cvoid}, t::Ptr{Cvoid}, limits[1]::Ptr{Cdouble}, limits[2]::Ptr{Cdouble},
            out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
    end
end

"The dimension of a target."
function dim(t::Target)
    d = Ref{Csize_t}(0)
    checked() do err
        @ccall libretrograde.rg_target_dim(t::Ptr{Cvoid}, d::Ptr{Csize_t}, err::Ptr{Ptr{Cvoid}})::Int32
    end
    Int(d[])
end

# Points as the library takes them: columns without gaps in them, whatever lies between.
points(x::StridedMatrix{Cdouble}) = stride(x, 1) == 1 ? x : Matrix(x)
points(x::AbstractMatrix) = Matrix{Cdouble}(x)
points(x::AbstractVector) = reshape(Vector{Cdouble}(x), :, 1)
# A single column, or none, may have any stride.
gap(x) = size(x, 2) > 1 ? stride(x, 2) : 0

function evaluated(t::Target, x, logp, grad)
    d, n = size(x)
    guarded(t.callback) do err
        @ccall libretrograde.rg_target_eval(
            t::Ptr{Cvoid}, n::Csize_t, d::Csize_t, x::Ptr{Cdouble}, gap(x)::Csize_t, logp::Ptr{Cdouble},
            grad::Ptr{Cdouble}, 0::Csize_t, err::Ptr{Ptr{Cvoid}})::Int32
    end
end

"Log densities at the columns of `x`."
function density(t::Target, x::AbstractVecOrMat)
    x = points(x)
    logp = Vector{Cdouble}(undef, size(x, 2))
    evaluated(t, x, logp, C_NULL)
    logp
end

"Gradients of the log density at the columns of `x`, d × n."
function gradient(t::Target, x::AbstractVecOrMat)
    x = points(x)
    grad = Matrix{Cdouble}(undef, size(x))
    evaluated(t, x, C_NULL, grad)
    grad
end

"Compares gradients with differences at the columns of `x`; throws if they differ. Gives what was found as JSON."
function check_gradient(t::Target, x::AbstractVecOrMat; rtol::Real = 1e-6)
    x = points(x)
    size(x, 1) == dim(t) || throw(DimensionMismatch("points have $(size(x, 1)) coordinates, the target $(dim(t))"))
    reasoned(t.callback) do
        text() do buf, cap, need, err
            @ccall libretrograde.rg_target_check(
                t::Ptr{Cvoid}, size(x, 2)::Csize_t, x::Ptr{Cdouble}, gap(x)::Csize_t, rtol::Cdouble,
                buf::Ptr{UInt8}, cap::Csize_t, need::Ptr{Csize_t}, err::Ptr{Ptr{Cvoid}})::Int32
        end
    end
end

# As `guarded`, for what throws on its own.
function reasoned(f, callback::Union{Callback,Nothing})
    callback === nothing && return f()
    lock(callback.lock)
    try
        f()
    catch e
        e isa RetrogradeError ? throw(reason(callback, e)) : rethrow()
    finally
        unlock(callback.lock)
    end
end

# ----------------------------------------------------------------------------------------------- processes and scores

"One of the registry, for a target, or of a dimension."
Process(cx::Context, name::AbstractString, t::Union{Target,Integer}, toml::AbstractString = "") =
    Process(t isa Target ? t.callback : nothing) do out, err
        given, d = t isa Target ? (t, 0) : (C_NULL, t)
        @ccall libretrograde.rg_process_new(
            cx::Ptr{Cvoid}, name::Cstring, toml::Cstring, given::Ptr{Cvoid}, d::Csize_t, out::Ptr{Ptr{Cvoid}},
            err::Ptr{Ptr{Cvoid}})::Int32
    end

"What a process is: dimensions of state and noise, time at which the reference law holds, RG_CAP_ bits."
function info(p::Process)
    d, m, t_end, caps = Ref{Csize_t}(0), Ref{Csize_t}(0), Ref{Cdouble}(0), Ref{UInt64}(0)
    checked() do err
        @ccall libretrograde.rg_process_info(
            p::Ptr{Cvoid}, d::Ptr{Csize_t}, m::Ptr{Csize_t}, t_end::Ptr{Cdouble}, caps::Ptr{UInt64},
            err::Ptr{Ptr{Cvoid}})::Int32
    end
    (d = Int(d[]), m = Int(m[]), t_end = t_end[], caps = caps[])
end

"""
    linear(process, t)

`(alpha, sigma2)`: x at t, given x at 0, has mean alpha x and covariance sigma2; 1 number, d numbers or d × d each.
"""
function linear(p::Process, t::Real)
    d = info(p).d
    dense, diagonal = info(p).caps & 0x40 != 0, info(p).caps & 0x20 != 0
    len = dense ? d^2 : diagonal ? d : 1
    alpha, sigma2 = Vector{Cdouble}(undef, len), Vector{Cdouble}(undef, len)
    checked() do err
        @ccall libretrograde.rg_process_linear(
            p::Ptr{Cvoid}, t::Cdouble, alpha::Ptr{Cdouble}, sigma2::Ptr{Cdouble}, len::Csize_t,
            err::Ptr{Ptr{Cvoid}})::Int32
    end
    # Row-major there.
    shape(v) = dense ? permutedims(reshape(v, d, d)) : diagonal ? v : v[1]
    (shape(alpha), shape(sigma2))
end

# One time for all columns, or one each.
times(t::Real, _) = (Cdouble[t], 0)
times(t::AbstractVector, n) =
    length(t) == n ? (Vector{Cdouble}(t), 1) : throw(DimensionMismatch("$(length(t)) times for $n points"))

"The drift at the columns of `x`, at one time or at one each; d × n."
function drift(p::Process, t::Union{Real,AbstractVector}, x::AbstractVecOrMat)
    x = points(x)
    d, n = size(x)
    ts, step = times(t, n)
    f = Matrix{Cdouble}(undef, d, n)
    guarded(p.callback) do err
        @ccall libretrograde.rg_process_drift(
            p::Ptr{Cvoid}, n::Csize_t, d::Csize_t, ts::Ptr{Cdouble}, step::Csize_t, x::Ptr{Cdouble},
            gap(x)::Csize_t, f::Ptr{Cdouble}, 0::Csize_t, err::Ptr{Ptr{Cvoid}})::Int32
    end
    f
end

"Draws at t1 given the columns of `x0` at t0, by the transition where there is one, else in Euler-Maruyama steps."
function simulate(p::Process, x0::AbstractVecOrMat, t0::Real, t1::Real; steps::Integer = 100, seed::Integer = 0)
    x0 = points(x0)
    d, n = size(x0)
    x1 = Matrix{Cdouble}(undef, d, n)
    guarded(p.callback) do err
        @ccall libretrograde.rg_process_simulate(
            p::Ptr{Cvoid}, seed::UInt64, n::Csize_t, d::Csize_t, t0::Cdouble, t1::Cdouble, steps::Csize_t,
            x0::Ptr{Cdouble}, gap(x0)::Csize_t, x1::Ptr{Cdouble}, 0::Csize_t, err::Ptr{Ptr{Cvoid}})::Int32
    end
    x1
end

"One of the registry, with the target and the process that it needs."
Score(cx::Context, name::AbstractString, t::Union{Target,Nothing}, p::Union{Process,Nothing}, toml::AbstractString = "") =
    Score(first_of(t, p)) do out, err
        @ccall libretrograde.rg_score_new(
            cx::Ptr{Cvoid}, name::Cstring, toml::Cstring, or_null(t)::Ptr{Cvoid}, or_null(p)::Ptr{Cvoid},
            out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
    end

"The score at the columns of `x`, at one time or at one each; d × n."
function score(s::Score, t::Union{Real,AbstractVector}, x::AbstractVecOrMat; seed::Integer = 0)
    x = points(x)
    d, n = size(x)
    ts, step = times(t, n)
    out = Matrix{Cdouble}(undef, d, n)
    guarded(s.callback) do err
        @ccall libretrograde.rg_score_eval(
            s::Ptr{Cvoid}, seed::UInt64, n::Csize_t, d::Csize_t, ts::Ptr{Cdouble}, step::Csize_t, x::Ptr{Cdouble},
            gap(x)::Csize_t, out::Ptr{Cdouble}, 0::Csize_t, err::Ptr{Ptr{Cvoid}})::Int32
    end
    out
end

# --------------------------------------------------------------------------------------------------------------- runs

"How far a run is: rg_progress."
struct Progress
    struct_size::Csize_t
    step::UInt64
    n_draws::UInt64
    n_eval::UInt64
    fraction::Cdouble
    elapsed_s::Cdouble
end

# rg_run_options
struct RunOptions
    struct_size::Csize_t
    seed::UInt64
    n_draws::Csize_t
    n_threads::UInt32
    flags::UInt32
    progress::Ptr{Cvoid}
    progress_user::Ptr{Cvoid}
    cancel::Ptr{Cvoid}
    progress_ms::UInt32
    reserved::UInt32
end

# Called by the library on the thread that called `run`. Also without a function of the user, for Ctrl-C and the garbage
# collection of other threads are served in Julia code only.
function watch(user, p)::Int32
    callback = unsafe_pointer_to_objref(user)::Callback
    try
        GC.safepoint()
        callback.f === nothing || callback.f(unsafe_load(p)) !== false ? Int32(0) : Int32(1)
    catch e
        callback.thrown = e
        Int32(1)
    end
end
const watch_c = Ref{Ptr{Cvoid}}(C_NULL)

"A flag, not set."
Cancel() = Cancel(nothing) do out, err
    @ccall libretrograde.rg_cancel_new(out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
end

"Sets a flag: runs that have it end after their step, and those that begin later at once."
cancel(c::Cancel) = @ccall libretrograde.rg_cancel_request(c::Ptr{Cvoid})::Cvoid

# Runs `f(options, out, err)`. A run that was stopped is a result, not an error.
function running(f, callback; seed::Integer = 0, draws::Integer = 0, threads::Integer = 0, progress = nothing,
                 cancel::Union{Cancel,Nothing} = nothing, flags::Integer = 0)
    watcher = Callback(progress)
    Result(callback) do out, err
        GC.@preserve watcher cancel begin
            options = Ref(RunOptions(
                sizeof(RunOptions), seed, draws, threads, flags, watch_c[], pointer_from_objref(watcher),
                cancel === nothing ? C_NULL : cancel.ptr, 0, 0))
            status = f(options, out, err)
        end
        if watcher.thrown !== nothing
            out[] == C_NULL || @ccall libretrograde.rg_result_free(out[]::Ptr{Cvoid})::Cvoid
            status == OK || taken(err, status)
            throw(watcher.thrown)
        end
        status == ERR_CANCELLED && out[] != C_NULL || return status
        taken(err, status)
        OK
    end
end

"One of the registry, with its target, and with the process and the score that it needs."
Sampler(cx::Context, name::AbstractString, t::Union{Target,Nothing}, toml::AbstractString = "";
        process::Union{Process,Nothing} = nothing, score::Union{Score,Nothing} = nothing) =
    Sampler(first_of(t, score, process)) do out, err
        @ccall libretrograde.rg_sampler_new(
            cx::Ptr{Cvoid}, name::Cstring, toml::Cstring, or_null(t)::Ptr{Cvoid}, or_null(process)::Ptr{Cvoid},
            or_null(score)::Ptr{Cvoid}, out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
    end

"""
    Sampler(cx, job = toml, target = nothing)

That of the text of a job; a target takes the place of the job's own.
"""
Sampler(cx::Context; job::AbstractString, target::Union{Target,Nothing} = nothing) =
    Sampler(callback_of(target)) do out, err
        @ccall libretrograde.rg_sampler_from_toml(
            cx::Ptr{Cvoid}, job::Cstring, or_null(target)::Ptr{Cvoid}, out::Ptr{Ptr{Cvoid}},
            err::Ptr{Ptr{Cvoid}})::Int32
    end

"""
    run(sampler; seed = 0, draws = 0, threads = 0, progress = nothing, cancel = nothing, flags = 0)

Runs a sampler. `draws` 0 stands for 4000, `threads` 0 for all; threads change no bits. `progress` is called now and then with a
[`Progress`](@ref) and stops the run by giving `false`; a run that was stopped gives a result that is not complete.
`flags` are `Retrograde.BASELINE_SIMD` and, for jobs, `Retrograde.REPLACE`, or-ed.
"""
Base.run(s::Sampler; rest...) =
    running(s.callback; rest...) do options, out, err
        @ccall libretrograde.rg_sampler_run(
            s::Ptr{Cvoid}, options::Ptr{RunOptions}, out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
    end

"""
    run_job(cx, toml; target = nothing, directory = nothing, …)

Runs a job in a directory, as the program does, with checkpoints from which `resume_job` goes on. `seed` and `draws` 0 stand
for those of the job; the rest is as for `run`.
"""
run_job(cx::Context, toml::AbstractString; target::Union{Target,Nothing} = nothing,
        directory::Union{AbstractString,Nothing} = nothing, rest...) =
    running(callback_of(target); rest...) do options, out, err
        @ccall libretrograde.rg_job_run(
            cx::Ptr{Cvoid}, toml::Cstring, or_null(target)::Ptr{Cvoid}, or_null(directory)::Cstring,
            options::Ptr{RunOptions}, out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
    end

"Goes on with the job of a directory, to the bits that it would have had without the stop."
resume_job(cx::Context, directory::AbstractString; target::Union{Target,Nothing} = nothing, rest...) =
    running(callback_of(target); rest...) do options, out, err
        @ccall libretrograde.rg_job_resume(
            cx::Ptr{Cvoid}, directory::Cstring, or_null(target)::Ptr{Cvoid}, options::Ptr{RunOptions},
            out::Ptr{Ptr{Cvoid}}, err::Ptr{Ptr{Cvoid}})::Int32
    end

"How far the draws of a diffusion are from its target, as JSON; `paths` 0 stands for 16384."
certify(cx::Context, toml::AbstractString; target::Union{Target,Nothing} = nothing, paths::Integer = 0) =
    reasoned(callback_of(target)) do
        text() do buf, cap, need, err
            @ccall libretrograde.rg_job_certify(
                cx::Ptr{Cvoid}, toml::Cstring, or_null(target)::Ptr{Cvoid}, paths::Csize_t, buf::Ptr{UInt8},
                cap::Csize_t, need::Ptr{Csize_t}, err::Ptr{Ptr{Cvoid}})::Int32
        end
    end

# ------------------------------------------------------------------------------------------------------------ results

function shape(r::Result)
    chains, n, d, k = Ref{Csize_t}(0), Ref{Csize_t}(0), Ref{Csize_t}(0), Ref{Csize_t}(0)
    complete = Ref{Int32}(0)
    checked() do err
        @ccall libretrograde.rg_result_shape(
            r::Ptr{Cvoid}, chains::Ptr{Csize_t}, n::Ptr{Csize_t}, d::Ptr{Csize_t}, k::Ptr{Csize_t},
            complete::Ptr{Int32}, err::Ptr{Ptr{Cvoid}})::Int32
    end
    (chains = Int(chains[]), n = Int(n[]), d = Int(d[]), k = Int(k[]), complete = complete[] == 1)
end

"The number of chains; particles and independent draws are one."
chains(r::Result) = shape(r).chains

"Whether a run came to its end."
complete(r::Result) = shape(r).complete

for (name, size, doc) in (
    (:draws, :d, "The draws, d × n, chain after chain; throws if the run was stopped."),
    (:partial_draws, :d, "What draws there are, also of a run that was stopped."),
    (:outputs, :k, "The outputs of the target at the draws, k × n; throws if it has none."),
)
    f = Symbol(:rg_result_, name)
    @eval @doc $doc function $name(r::Result)
        s = shape(r)
        out = Matrix{Cdouble}(undef, s.$size, s.n)
        checked() do err
            @ccall libretrograde.$f(
                r::Ptr{Cvoid}, out::Ptr{Cdouble}, 0::Csize_t, length(out)::Csize_t, err::Ptr{Ptr{Cvoid}})::Int32
        end
        out
    end
end

"The log weights of the draws, not normalised; throws if all weigh the same."
function log_weights(r::Result)
    out = Vector{Cdouble}(undef, shape(r).n)
    checked() do err
        @ccall libretrograde.rg_result_log_weights(
            r::Ptr{Cvoid}, out::Ptr{Cdouble}, length(out)::Csize_t, err::Ptr{Ptr{Cvoid}})::Int32
    end
    out
end

"One of the numbers that sum a run up: `log_z`, `log_z_se`, and what the sampler names."
function scalar(r::Result, key::AbstractString)
    out = Ref{Cdouble}(0)
    checked() do err
        @ccall libretrograde.rg_result_scalar(
            r::Ptr{Cvoid}, key::Cstring, out::Ptr{Cdouble}, err::Ptr{Ptr{Cvoid}})::Int32
    end
    out[]
end

"A result as a JSON object, without its draws."
json(r::Result) = text() do buf, cap, need, err
    @ccall libretrograde.rg_result_json(
        r::Ptr{Cvoid}, buf::Ptr{UInt8}, cap::Csize_t, need::Ptr{Csize_t}, err::Ptr{Ptr{Cvoid}})::Int32
end

# -------------------------------------------------------------------------------------------------------------------- start

function __init__()
    said = Vector{UInt8}(undef, 256)
    abi = @ccall libretrograde.rg_check_abi(
        ABI::UInt32, ABI_MINOR::UInt32, said::Ptr{UInt8}, length(said)::Csize_t)::Int32
    abi == OK || error(GC.@preserve said unsafe_string(pointer(said)))
    # Pointers to functions do not outlive the process, so they are made when the module is loaded.
    evaluate_c[] = @cfunction(evaluate, Int32, (Ptr{Cvoid}, Csize_t, Csize_t, Ptr{Cdouble}, Ptr{Cdouble}, Ptr{Cdouble}))
    watch_c[] = @cfunction(watch, Int32, (Ptr{Cvoid}, Ptr{Progress}))
end

end
