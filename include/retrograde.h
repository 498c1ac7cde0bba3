/* retrograde: draws and log Z from a density that can be evaluated but not normalised.
 *
 * Generated from the library's sources; do not edit.
 *
 * Errors: a function returns RG_OK or an RG_ERR_ code. If its last argument `err` is not NULL, a
 * failure also puts an owned rg_error there, to be freed with rg_error_free; success leaves *err
 * alone. So start with `rg_error *err = NULL`, and free or report it before it is used again.
 * Other outputs are written on success only, `need` excepted.
 * Ownership: what a _new function makes, the _free function of that name frees. Memory is freed by
 * the side that allocated it; NULL may be freed. Using or freeing an object after it was freed is
 * undefined.
 * Strings: NUL-terminated UTF-8. What is handed in is copied. What is handed out goes into a
 * buffer of the caller: `cap` is its size in bytes, `need` gets the bytes needed, NUL included.
 * With `cap` 0 the call only tells `need` and succeeds; a buffer too small gives RG_ERR_BUFFER and
 * stays as it was.
 * Threads: arguments `const T *` may be used by several threads at once, others by one at a time.
 */


#ifndef RETROGRADE_H
#define RETROGRADE_H

#include <stddef.h>
#include <stdint.h>
#include "retrograde_plugin.h"

/**
 * Version of the binary interface this header describes. Programs built for another one do not
 * work with this library. While the library is 0.x it changes with each minor release.
 */
#define RG_ABI 0

/**
 * Counts the additions to the binary interface RG_ABI. A library with a larger one serves
 * programs built for a smaller one.
 */
#define RG_ABI_MINOR 1

/**
 * The components that can be asked for by kind and name. Made by rg_context_new, freed by
 * rg_context_free; contexts know nothing of one another.
 */
typedef struct rg_context rg_context;

/**
 * What went wrong in one call: a status code, a sentence, and its causes. A function that fails
 * makes one if it is given a place for it; the caller frees it with rg_error_free. It belongs to
 * no context, may outlive every other object, and may be read on any thread.
 */
typedef struct rg_error rg_error;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, for example "0.1.0".
 *
 * Returns NUL-terminated ASCII, never NULL, which lives as long as the library; not to be freed.
 * Threads: any, also several at once.
 */
const char *rg_version(void);

/**
 * Whether this library serves a program built with this header: call it first, as
 * rg_check_abi(RG_ABI, RG_ABI_MINOR, buf, sizeof buf).
 *
 * `abi`, `minor`: RG_ABI and RG_ABI_MINOR as the program was compiled with them.
 * `buf`: room for `cap` bytes; may be NULL if `cap` is 0. If the answer is RG_ERR_ABI it gets a
 * sentence with both versions, or "" if that does not fit (256 bytes always do); otherwise "".
 * `cap`: size of `buf` in bytes.
 * Returns RG_OK if `abi` is the library's and `minor` is not above the library's; otherwise
 * RG_ERR_ABI. RG_ERR_NULL if `buf` is NULL and `cap` is not 0.
 * Threads: any, also several at once.
 */
rg_status rg_check_abi(uint32_t abi, uint32_t minor, char *buf, size_t cap);

/**
 * The name of a status code, for example "RG_ERR_DIM".
 *
 * `code`: any number; for one that is no status the name is "unknown status".
 * Returns NUL-terminated ASCII, never NULL, which lives as long as the library; not to be freed.
 * Threads: any, also several at once.
 */
const char *rg_status_name(rg_status code);

/**
 * The status code of an error: what the function that failed returned.
 *
 * `e`: an error, or NULL, which stands for no error.
 * Returns its code; RG_OK for NULL.
 * Threads: any, also several at once.
 */
rg_status rg_error_code(const rg_error *e);

/**
 * What went wrong: one sentence that names the argument or component, what was given and what
 * would be right.
 *
 * `e`: an error, or NULL, which stands for no error.
 * Returns NUL-terminated UTF-8, never NULL: "" for NULL. The error owns it: it is valid until
 * rg_error_free(e) and must not be freed on its own.
 * Threads: any, also several at once.
 */
const char *rg_error_message(const rg_error *e);

/**
 * The message, followed by its causes: one line "caused by: ..." each, the nearest first.
 *
 * `e`: an error, or NULL, which stands for no error.
 * Returns NUL-terminated UTF-8, never NULL: "" for NULL. The error owns it: it is valid until
 * rg_error_free(e) and must not be freed on its own.
 * Threads: any, also several at once.
 */
const char *rg_error_detail(const rg_error *e);

/**
 * Frees an error and the strings it owns.
 *
 * `e`: an error that was not freed yet and that no other thread is reading, or NULL, which does
 * nothing.
 * Threads: any, not necessarily the one the error arose on.
 */
void rg_error_free(rg_error *e);

/**
 * Makes a context that holds every built-in component.
 *
 * `out`: gets the context, which the caller frees with rg_context_free; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `out` is NULL; RG_ERR_ARG if two components have one name.
 * Threads: any, also several at once.
 */
rg_status rg_context_new(rg_context **out, rg_error **err);

/**
 * Frees a context.
 *
 * `cx`: a context that was not freed yet and that no other thread is using, or NULL, which does
 * nothing.
 * Threads: any, not necessarily the one that made it.
 */
void rg_context_free(rg_context *cx);

/**
 * How many components of a kind there are.
 *
 * `cx`: a context; not NULL.
 * `kind`: one of the RG_KIND_ constants.
 * `n`: gets the number; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx` or `n` is NULL; RG_ERR_ARG if there is no such kind.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_context_count(const rg_context *cx, int32_t kind, size_t *n, rg_error **err);

/**
 * The name of a component. Those of one kind are in the order of their names.
 *
 * `cx`: a context; not NULL.
 * `kind`: one of the RG_KIND_ constants.
 * `i`: which one of that kind, from 0 to the count less 1.
 * `buf`: room for `cap` bytes; gets the name, NUL-terminated UTF-8. May be NULL if `cap` is 0.
 * `cap`: size of `buf` in bytes; 0 only asks for the size.
 * `need`: gets the bytes the name needs with its NUL, also when the answer is RG_ERR_BUFFER; may
 * be NULL unless `cap` is 0.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx`, or a `buf` or `need` that is needed, is NULL; RG_ERR_ARG if
 * `kind` or `i` is out of range; RG_ERR_BUFFER if `cap` is too small, and then `buf` is as it was.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_context_name(const rg_context *cx,
                          int32_t kind,
                          size_t i,
                          char *buf,
                          size_t cap,
                          size_t *need,
                          rg_error **err);

/**
 * Describes a component as a JSON object on one line: "kind" (a word), "name", "summary" (one
 * sentence), "source" (where it comes from) and "schema" (the JSON Schema of its settings).
 *
 * `cx`: a context; not NULL.
 * `kind`: one of the RG_KIND_ constants.
 * `name`: the component's name, NUL-terminated UTF-8; not NULL.
 * `buf`: room for `cap` bytes; gets the object, NUL-terminated UTF-8. May be NULL if `cap` is 0.
 * `cap`: size of `buf` in bytes; 0 only asks for the size.
 * `need`: gets the bytes the object needs with its NUL, also when the answer is RG_ERR_BUFFER;
 * may be NULL unless `cap` is 0.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx` or `name`, or a `buf` or `need` that is needed, is NULL;
 * RG_ERR_ARG if there is no such kind; RG_ERR_UTF8 if `name` is not UTF-8; RG_ERR_NOT_FOUND if no
 * component of the kind is called so, with the nearest name in the message; RG_ERR_BUFFER if
 * `cap` is too small, and then `buf` is as it was.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_context_describe(const rg_context *cx,
                              int32_t kind,
                              const char *name,
                              char *buf,
                              size_t cap,
                              size_t *need,
                              rg_error **err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RETROGRADE_H */
