! The tables of include/retrograde_plugin.h that a target needs, in Fortran 2008. Names, order and meaning are
! those of the header; a slot that a plugin does not fill is c_null_funptr.
!
! A size_t is an integer(c_size_t), of which the sign bit is not used. Arrays of the header are row-major, n x d:
! in Fortran x(d, n), a column for each point.
module retrograde_plugin
  use, intrinsic :: iso_c_binding
  implicit none
  public

  integer(c_int32_t), parameter :: rg_plugin_abi = 1, rg_plugin_minor = 0
  integer(c_int32_t), parameter :: rg_kind_target = 1
  integer(c_int32_t), parameter :: rg_thread_serial = 1, rg_thread_concurrent = 2
  integer(c_int32_t), parameter :: rg_type_f64 = 1, rg_type_i64 = 2
  integer(c_int64_t), parameter :: rg_cap_rowwise = 1, rg_cap_deterministic = 2, rg_cap_gradient = 4
  integer(c_int32_t), parameter :: rg_ok = 0, rg_err_config = 5, rg_err_memory = 16

  ! The first slots of rg_host; more follow, which are found by their place in the header.
  type, bind(c) :: rg_host
    integer(c_size_t) :: struct_size
    integer(c_int32_t) :: abi, minor
    type(c_ptr) :: name, version
    type(c_funptr) :: log, fail, cancelled, scratch, rng_u64, rng_uniform, rng_normal, for_rows, for_jobs
    type(c_funptr) :: tell, seek
    type(c_funptr) :: cfg_f64, cfg_i64, cfg_bool, cfg_str, cfg_f64s, cfg_toml, cfg_refuse
  end type rg_host

  type, bind(c) :: rg_ref
    type(c_ptr) :: object, vtable
  end type rg_ref

  type, bind(c) :: rg_param
    integer(c_size_t) :: struct_size
    type(c_ptr) :: name, doc
    integer(c_int32_t) :: type, required
    type(c_ptr) :: default_toml
    real(c_double) :: min, max
    type(c_ptr) :: choices
  end type rg_param

  type, bind(c) :: rg_target_vtable
    integer(c_size_t) :: struct_size
    integer(c_int64_t) :: caps
    integer(c_int32_t) :: threading, reserved
    type(c_funptr) :: destroy, dim, eval, hvp, name, n_outputs, output_name, outputs
  end type rg_target_vtable

  type, bind(c) :: rg_component
    integer(c_size_t) :: struct_size
    integer(c_int32_t) :: kind, needs
    type(c_ptr) :: name, version, doc, params
    integer(c_size_t) :: n_params
    type(c_ptr) :: schema, vtable
    type(c_funptr) :: create
  end type rg_component

  type, bind(c) :: rg_plugin
    integer(c_size_t) :: struct_size
    integer(c_int32_t) :: abi, minor
    type(c_ptr) :: name, version, license, components
    integer(c_size_t) :: n_components
  end type rg_plugin

  abstract interface
    function rg_fail(call, code, utf8) bind(c) result(status)
      import :: c_ptr, c_int32_t, c_char
      type(c_ptr), value :: call
      integer(c_int32_t), value :: code
      character(kind=c_char), intent(in) :: utf8(*)
      integer(c_int32_t) :: status
    end function rg_fail

    function rg_cfg_f64(call, cfg, key, out) bind(c) result(status)
      import :: c_ptr, c_int32_t, c_char, c_double
      type(c_ptr), value :: call, cfg
      character(kind=c_char), intent(in) :: key(*)
      real(c_double), intent(out) :: out
      integer(c_int32_t) :: status
    end function rg_cfg_f64

    function rg_cfg_i64(call, cfg, key, out) bind(c) result(status)
      import :: c_ptr, c_int32_t, c_char, c_int64_t
      type(c_ptr), value :: call, cfg
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int64_t), intent(out) :: out
      integer(c_int32_t) :: status
    end function rg_cfg_i64

    ! What is given and allowed are sentences for the person; it returns rg_err_config.
    function rg_cfg_refuse(call, key, given, allowed) bind(c) result(status)
      import :: c_ptr, c_int32_t, c_char
      type(c_ptr), value :: call
      character(kind=c_char), intent(in) :: key(*), given(*), allowed(*)
      integer(c_int32_t) :: status
    end function rg_cfg_refuse
  end interface
end module retrograde_plugin
