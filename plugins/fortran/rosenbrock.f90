! A target in Fortran 2008 (with TS 29113, by which a NULL is an optional argument that is not there): a curved
! valley in any dimension, Rosenbrock's function with a known integral.
!
!   log p(x) = -a (x_1 - mu)^2 - b sum_{i=2}^{d} (x_i - x_{i-1}^2)^2
!
! Given the coordinates before it, each is normal: x_1 ~ N(mu, 1/2a), x_i ~ N(x_{i-1}^2, 1/2b). Hence
!
!   log Z = (d/2) log pi - (1/2) log a - ((d-1)/2) log b,   E x_1 = mu,   E x_2 = mu^2 + 1/2a
!
! Source: Rosenbrock (1960), The Computer Journal 3, 175; Pagani, Wiegand & Nadarajah (2022), Scandinavian Journal
! of Statistics 49, 657, with one block.
!
!   gfortran -std=f2008ts -O2 -fPIC -shared -J . -Wl,--version-script=../exports.map \
!     retrograde_plugin.f90 rosenbrock.f90 -o rosenbrock.so
!
! It shows: tables that are filled in the entry function, since Fortran has no constants that hold the addresses
! of procedures; outputs that may not be wanted, as optional arguments; text that ends in NUL; and one exported
! symbol, by the linker's script.
module rosenbrock
  use, intrinsic :: iso_c_binding
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite, ieee_is_nan
  use retrograde_plugin
  implicit none
  private

  type :: valley
    integer(c_size_t) :: d
    real(c_double) :: a, b, mu
  end type valley

  integer, parameter :: n_params = 4

  ! They live as long as the program.
  type(rg_host), pointer, save :: host => null()
  type(rg_target_vtable), target, save :: table
  type(rg_param), target, save :: params(n_params)
  type(c_ptr), target, save :: param_places(n_params)
  type(rg_component), target, save :: component
  type(c_ptr), target, save :: component_places(1)
  type(rg_plugin), target, save :: plugin
  integer, parameter :: longest = 100
  integer, parameter :: n_texts = 16
  character(kind=c_char), target, save :: texts(longest, n_texts)

contains

  ! The address of a text that stays, with its NUL.
  function kept(place, text) result(address)
    integer, intent(in) :: place
    character(len=*), intent(in) :: text
    type(c_ptr) :: address
    integer :: i
    do i = 1, len(text)
      texts(i, place) = text(i:i)
    end do
    texts(len(text) + 1, place) = c_null_char
    address = c_loc(texts(1, place))
  end function kept

  function dimension_of(object, call, d) bind(c, name="") result(status)
    type(c_ptr), value :: object, call
    integer(c_size_t), intent(out) :: d
    integer(c_int32_t) :: status
    type(valley), pointer :: v
    call c_f_pointer(object, v)
    d = v%d
    status = rg_ok
  end function dimension_of

  ! Where the log density is no finite number, but below all, the gradient is 0.
  function eval(object, call, n, d, x, logp, grad) bind(c, name="") result(status)
    type(c_ptr), value :: object, call
    integer(c_size_t), value :: n, d
    real(c_double), intent(in) :: x(d, n)
    real(c_double), intent(inout), optional :: logp(n), grad(d, n)
    integer(c_int32_t) :: status
    type(valley), pointer :: v
    real(c_double) :: first, u, total
    integer(c_size_t) :: i, j
    call c_f_pointer(object, v)
    do i = 1, n
      first = x(1, i) - v%mu
      total = -v%a * first * first
      if (present(grad)) grad(1, i) = -2.0_c_double * v%a * first
      do j = 2, d
        u = x(j, i) - x(j - 1, i) * x(j - 1, i)
        total = total - v%b * u * u
        if (present(grad)) then
          grad(j, i) = -2.0_c_double * v%b * u
          grad(j - 1, i) = grad(j - 1, i) + 4.0_c_double * v%b * u * x(j - 1, i)
        end if
      end do
      if (present(logp)) logp(i) = total
      if (present(grad) .and. .not. ieee_is_finite(total) .and. .not. ieee_is_nan(total)) grad(:, i) = 0.0_c_double
    end do
    status = rg_ok
  end function eval

  ! The Hessian has three diagonals.
  function hvp(object, call, n, d, x, t, out) bind(c, name="") result(status)
    type(c_ptr), value :: object, call
    integer(c_size_t), value :: n, d
    real(c_double), intent(in) :: x(d, n), t(d, n)
    real(c_double), intent(out) :: out(d, n)
    integer(c_int32_t) :: status
    type(valley), pointer :: v
    real(c_double) :: y, slope
    integer(c_size_t) :: i, j
    call c_f_pointer(object, v)
    do i = 1, n
      out(1, i) = -2.0_c_double * v%a * t(1, i)
      do j = 2, d
        y = x(j - 1, i)
        ! The differential of u = x_j - y^2, then of -b u^2.
        slope = t(j, i) - 2.0_c_double * y * t(j - 1, i)
        out(j, i) = -2.0_c_double * v%b * slope
        out(j - 1, i) = out(j - 1, i) + 4.0_c_double * v%b * (slope * y + (x(j, i) - y * y) * t(j - 1, i))
      end do
    end do
    status = rg_ok
  end function hvp

  subroutine destroy(object) bind(c, name="")
    type(c_ptr), value :: object
    type(valley), pointer :: v
    call c_f_pointer(object, v)
    deallocate (v)
  end subroutine destroy

  ! Refuses a parameter that must be above 0.
  function above_0(call, key, value) result(status)
    type(c_ptr), intent(in) :: call
    character(len=*), intent(in) :: key
    real(c_double), intent(in) :: value
    integer(c_int32_t) :: status
    procedure(rg_cfg_refuse), pointer :: refuse
    character(len=32) :: given
    call c_f_procpointer(host%cfg_refuse, refuse)
    write (given, "(g0)") value
    status = refuse(call, key // c_null_char, trim(given) // c_null_char, "above 0" // c_null_char)
  end function above_0

  function create(given, call, cfg, deps, made) bind(c, name="") result(status)
    type(c_ptr), value :: given, call, cfg, deps
    type(rg_ref), intent(inout) :: made
    integer(c_int32_t) :: status
    procedure(rg_fail), pointer :: fail
    procedure(rg_cfg_f64), pointer :: cfg_f64
    procedure(rg_cfg_i64), pointer :: cfg_i64
    type(valley), pointer :: v
    integer(c_int64_t) :: d
    real(c_double) :: a, b, mu
    integer :: failed
    call c_f_procpointer(host%fail, fail)
    call c_f_procpointer(host%cfg_f64, cfg_f64)
    call c_f_procpointer(host%cfg_i64, cfg_i64)
    status = cfg_i64(call, cfg, "dim" // c_null_char, d)
    if (status == rg_ok) status = cfg_f64(call, cfg, "a" // c_null_char, a)
    if (status == rg_ok) status = cfg_f64(call, cfg, "b" // c_null_char, b)
    if (status == rg_ok) status = cfg_f64(call, cfg, "mu" // c_null_char, mu)
    if (status /= rg_ok) return
    ! The declared ranges have their ends; these are open.
    if (.not. a > 0.0_c_double) then
      status = above_0(call, "a", a)
      return
    end if
    if (.not. b > 0.0_c_double) then
      status = above_0(call, "b", b)
      return
    end if
    allocate (v, stat=failed)
    if (failed /= 0) then
      status = fail(call, rg_err_memory, "no memory for the target" // c_null_char)
      return
    end if
    v%d = int(d, c_size_t)
    v%a = a
    v%b = b
    v%mu = mu
    made%object = c_loc(v)
  end function create

  subroutine declare(i, name, doc, type, default, least, most)
    integer, intent(in) :: i
    character(len=*), intent(in) :: name, doc, default
    integer(c_int32_t), intent(in) :: type
    real(c_double), intent(in) :: least, most
    params(i)%struct_size = c_sizeof(params(i))
    params(i)%name = kept(3 * i + 1, name)
    params(i)%doc = kept(3 * i + 2, doc)
    params(i)%type = type
    params(i)%required = 0
    params(i)%default_toml = kept(3 * i + 3, default)
    params(i)%min = least
    params(i)%max = most
    params(i)%choices = c_null_ptr
    param_places(i) = c_loc(params(i))
  end subroutine declare

  ! Writes the same each time that it is called.
  function entry_point(given) bind(c, name="retrograde_plugin_v1") result(address)
    type(c_ptr), value :: given
    type(c_ptr) :: address
    address = c_null_ptr
    if (.not. c_associated(given)) return
    call c_f_pointer(given, host)
    if (host%abi /= rg_plugin_abi) return

    call declare(1, "dim", "Dimension", rg_type_i64, "2", 1.0_c_double, 10000.0_c_double)
    call declare(2, "a", "Precision a of the first coordinate, > 0: its variance is 1/2a", &
      rg_type_f64, "0.5", 0.0_c_double, 1.0e6_c_double)
    call declare(3, "b", "Precision b across the valley, > 0", &
      rg_type_f64, "5.0", 0.0_c_double, 1.0e6_c_double)
    call declare(4, "mu", "Mean of the first coordinate", &
      rg_type_f64, "1.0", -1.0e6_c_double, 1.0e6_c_double)

    table%struct_size = c_sizeof(table)
    table%caps = rg_cap_rowwise + rg_cap_deterministic + rg_cap_gradient
    table%threading = rg_thread_concurrent
    table%reserved = 0
    table%destroy = c_funloc(destroy)
    table%dim = c_funloc(dimension_of)
    table%eval = c_funloc(eval)
    table%hvp = c_funloc(hvp)
    table%name = c_null_funptr
    table%n_outputs = c_null_funptr
    table%output_name = c_null_funptr
    table%outputs = c_null_funptr

    component%struct_size = c_sizeof(component)
    component%kind = rg_kind_target
    component%needs = 0
    component%name = kept(1, "rosenbrock")
    component%version = c_null_ptr
    component%doc = kept(2, "Curved valley in any dimension, with a known integral")
    component%params = c_loc(param_places)
    component%n_params = n_params
    component%schema = c_null_ptr
    component%vtable = c_loc(table)
    component%create = c_funloc(create)
    component_places(1) = c_loc(component)

    plugin%struct_size = c_sizeof(plugin)
    plugin%abi = rg_plugin_abi
    plugin%minor = rg_plugin_minor
    plugin%name = kept(3, "valleys")
    plugin%version = kept(16, "0.1.0")
    plugin%license = c_null_ptr
    plugin%components = c_loc(component_places)
    plugin%n_components = 1
    address = c_loc(plugin)
  end function entry_point
end module rosenbrock
