/* What all parts of the compiled `publish` read events with, and what functions are made with.
 *
 * The caller holds the GIL. To look into a dict can run any code, of a key that is no plain text, and
 * so other threads: what is borrowed from an event is used before that, or held. To look for a text
 * or a number in a dict of ours runs none. */

#ifndef MQL_EVENT_H
#define MQL_EVENT_H

#include "../../../mql/host/handed.h"

#define unlikely(condition) __builtin_expect(condition, 0)

enum answer { FAILED = -1, NO, MAYBE };

struct path {
    PyObject *first; /* step */
    PyObject *steps; /* a tuple of texts and integers */
    intptr_t count;
};

static inline void let_go(PyObject *held) {
    if (held != NULL) Py_DecRef(held);
}

static inline int is_null(const PyObject *value) { return value == &_Py_NoneStruct; }

static inline int is_scalar(const PyObject *value) {
    return is(value, &PyUnicode_Type) || is(value, &PyLong_Type) || is(value, &PyFloat_Type) ||
           is(value, &PyBool_Type) || is_null(value);
}

/* What JSON knows. A value of any other type may be anything. */
static inline int is_known(const PyObject *value) {
    return is_scalar(value) || is(value, &PyDict_Type) || is(value, &PyList_Type);
}

/* What an exception means: it stays here, and the event may pass; or, if it is a signal's, it goes on
 * and this ends. Runs code of Python. */
enum answer raised(void);

/* What became of an event out of which an exception came at the end: no stack is left, no memory. */
PyObject *unreadable_or_raised(void);

static inline enum answer of_truth(int truth) { return truth < 0 ? raised() : truth ? MAYBE : NO; }

/* Whether all keys are texts: else one of another type may become the text that is missing. */
static inline int has_text_keys(PyObject *dict) {
    intptr_t at = 0;
    PyObject *key;
    while (PyDict_Next(dict, &at, &key, NULL))
        if (!is(key, &PyUnicode_Type)) return 0;
    return 1;
}

/* One step into a value, which its caller holds. Borrowed; NULL for null, and if nobody knows. */
static inline PyObject *step_into(PyObject *value, PyObject *step, enum answer *answer) {
    PyObject *found = NULL;
    if (is(value, &PyDict_Type)) {
        if (is(step, &PyUnicode_Type)) found = PyDict_GetItemWithError(value, step);
        if (found != NULL && !is_null(found)) return found;
        if (found == NULL && PyErr_Occurred() != NULL)
            *answer = raised();
        else if (!has_text_keys(value))
            *answer = MAYBE;
        return NULL;
    }
    if (is(value, &PyList_Type)) {
        if (!is(step, &PyLong_Type)) return NULL;
        long long size = PyList_Size(value), at = PyLong_AsLongLong(step);
        if (at < 0) at += size;
        if (at >= 0 && at < size) found = PyList_GetItem(value, (intptr_t)at);
        return found == NULL || is_null(found) ? NULL : found;
    }
    if (!is_known(value)) *answer = MAYBE;
    return NULL;
}

/* What a path leads to, from a value that its caller holds; NULL for null, and if nobody knows.
 * Borrowed, or if it lies deeper, held by `*held`. */
static inline PyObject *follow(PyObject *value, const struct path *path, enum answer *answer,
                               PyObject **held) {
    *held = NULL;
    if (path->count == 0) return is_null(value) ? NULL : value;
    PyObject *found = step_into(value, path->first, answer);
    for (intptr_t i = 1; i < path->count && found != NULL; i++) {
        PyObject *outer = found;
        if (i == 1) Py_IncRef(outer);
        found = step_into(outer, PyTuple_GetItem(path->steps, i), answer);
        if (found != NULL) Py_IncRef(found);
        Py_DecRef(outer);
        *held = found;
    }
    return found;
}

static inline struct path path_of(PyObject *steps) {
    intptr_t count = PyTuple_Size(steps);
    return (struct path){count > 0 ? PyTuple_GetItem(steps, 0) : NULL, steps, count};
}

static inline int is_path(PyObject *steps) {
    if (!is_tuple(steps)) return 0;
    for (intptr_t i = 0; i < PyTuple_Size(steps); i++) {
        PyObject *step = PyTuple_GetItem(steps, i);
        if (!is(step, &PyUnicode_Type) && !is_whole_in(step, -INT64_MAX, INT64_MAX - 1)) return 0;
    }
    return 1;
}

#endif
