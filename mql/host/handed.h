/* What Python hands over to compiled code, looked at before it is used, and the functions that are
 * made of it. */

#ifndef MQL_HANDED_H
#define MQL_HANDED_H

#include "constant.h"
#include "stable_abi.h"

static inline int is(const PyObject *value, const PyTypeObject *type) { return value->type == type; }

/* What was handed over is not as the Python beside it says. */
static inline PyObject *refuse(const char *reason) {
    PyErr_SetString(PyExc_ValueError, reason);
    return NULL;
}

static inline int is_tuple(const PyObject *value) { return is(value, &PyTuple_Type); }

static inline int is_tuple_of(PyObject *value, intptr_t size) {
    return is_tuple(value) && PyTuple_Size(value) == size;
}

/* An integer; the next one that there is here for one beyond 64 bits. */
static inline long long whole_of(PyObject *integer) {
    int beyond;
    long long whole = PyLong_AsLongLongAndOverflow(integer, &beyond);
    return beyond == 0 ? whole : beyond > 0 ? INT64_MAX : INT64_MIN;
}

static inline int is_whole_in(PyObject *value, long long least, long long most) {
    if (!is(value, &PyLong_Type)) return 0;
    long long whole = whole_of(value);
    return least <= whole && whole <= most;
}

/* A function with a capsule as its `self`. That takes over what is allocated, and the reference to
 * what it holds. */
static inline PyObject *function_of(PyMethodDef *definition, void *made, PyObject *held,
                                    void (*free)(PyObject *)) {
    PyObject *self = PyCapsule_New(made, NULL, free);
    if (self == NULL) {
        Py_DecRef(held);
        PyMem_Free(made);
        return NULL;
    }
    PyObject *function = PyCFunction_NewEx(definition, self, NULL);
    Py_DecRef(self);
    return function;
}

/* Whether objects look as `stable_abi.h` says: they do not in each build of Python. */
static inline int reads_objects(void) { return is((const PyObject *)&PyUnicode_Type, &PyType_Type); }

#endif
