! Draws of a job, a row each on standard output: draws JOB.toml SEED N
! An array (d, n) of Fortran lies in memory as n rows of d numbers.
module retrograde
  use, intrinsic :: iso_c_binding
  implicit none

  ! rg_run_options
  type, bind(c) :: run_options
    integer(c_size_t) :: struct_size = 0
    integer(c_int64_t) :: seed = 0
    integer(c_size_t) :: n_draws = 4000
    integer(c_int32_t) :: n_threads = 0, flags = 0
    type(c_ptr) :: progress = c_null_ptr, progress_user = c_null_ptr, cancel = c_null_ptr
    integer(c_int32_t) :: progress_ms = 0, reserved = 0
  end type

  interface
    integer(c_int32_t) function rg_context_new(cx, err) bind(c)
      import
      type(c_ptr), intent(out) :: cx
      type(c_ptr), intent(inout) :: err
    end function
    integer(c_int32_t) function rg_sampler_from_toml(cx, toml, target, sampler, err) bind(c)
      import
      type(c_ptr), value :: cx, target
      character(kind=c_char), intent(in) :: toml(*)
      type(c_ptr), intent(out) :: sampler
      type(c_ptr), intent(inout) :: err
    end function
    integer(c_int32_t) function rg_sampler_run(sampler, options, result, err) bind(c)
      import
      type(c_ptr), value :: sampler
      type(run_options), intent(in) :: options
      type(c_ptr), intent(out) :: result
      type(c_ptr), intent(inout) :: err
    end function
    integer(c_int32_t) function rg_result_shape(result, chains, n, d, k, complete, err) bind(c)
      import
      type(c_ptr), value :: result, chains, k, complete
      integer(c_size_t), intent(out) :: n, d
      type(c_ptr), intent(inout) :: err
    end function
    integer(c_int32_t) function rg_result_draws(result, draws, row_stride, out_len, err) bind(c)
      import
      type(c_ptr), value :: result
      real(c_double), intent(out) :: draws(*)
      integer(c_size_t), value :: row_stride, out_len
      type(c_ptr), intent(inout) :: err
    end function
    type(c_ptr) function rg_error_message(err) bind(c)
      import
      type(c_ptr), value :: err
    end function
    subroutine rg_result_free(result) bind(c)
      import
      type(c_ptr), value :: result
    end subroutine
    subroutine rg_sampler_free(sampler) bind(c)
      import
      type(c_ptr), value :: sampler
    end subroutine
    subroutine rg_context_free(cx) bind(c)
      import
      type(c_ptr), value :: cx
    end subroutine
  end interface

contains

  ! Ends the program with the library's sentence unless the status is RG_OK.
  subroutine check(status, err)
    integer(c_int32_t), intent(in) :: status
    type(c_ptr), intent(in) :: err
    character(kind=c_char), pointer :: text(:)
    integer :: i
    if (status == 0) return
    call c_f_pointer(rg_error_message(err), text, [100000])
    i = 1
    do while (text(i) /= c_null_char)
      write (0, '(a)', advance='no') text(i)
      i = i + 1
    end do
    write (0, *)
    error stop 1
  end subroutine
end module

program draws
  use retrograde
  implicit none
  type(c_ptr) :: cx, sampler, result, err = c_null_ptr
  type(run_options) :: options
  character(len=1024) :: path, number
  character(len=:), allocatable :: job
  real(c_double), allocatable :: x(:, :)
  integer(c_size_t) :: n, d, i
  integer :: unit, bytes

  call get_command_argument(1, path)
  call get_command_argument(2, number)
  read (number, *) options%seed
  call get_command_argument(3, number)
  read (number, *) options%n_draws
  options%struct_size = c_sizeof(options)
  open (newunit=unit, file=trim(path), access='stream', form='unformatted', status='old')
  inquire (unit=unit, size=bytes)
  allocate (character(len=bytes) :: job)
  read (unit) job

  call check(rg_context_new(cx, err), err)
  call check(rg_sampler_from_toml(cx, job//c_null_char, c_null_ptr, sampler, err), err)
  call check(rg_sampler_run(sampler, options, result, err), err)
  call check(rg_result_shape(result, c_null_ptr, n, d, c_null_ptr, c_null_ptr, err), err)
  allocate (x(d, n))
  call check(rg_result_draws(result, x, d, n*d, err), err)
  do i = 1, n
    write (*, '(*(es26.17e3, :, " "))') x(:, i)
  end do
  call rg_result_free(result)
  call rg_sampler_free(sampler)
  call rg_context_free(cx)
end program
