/* What an exception means that came out of an event. */

#include "event.h"

static PyObject *is_interruption; /* of `mql.host.interruption`; held for good, as the next one */
static PyObject *unreadable;      /* the status of an event that could not be taken at all */

void set_raised(PyObject *function, PyObject *status) {
    Py_IncRef(is_interruption = function);
    Py_IncRef(unreadable = status);
}

/* Whether it is meant for the caller. So is what is raised by this question: it asks nothing of the
 * event. But there may be no room left to ask. */
static int is_of_caller(PyObject *error) {
    PyObject *found = PyObject_CallFunctionObjArgs(is_interruption, error, NULL);
    if (found == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RecursionError) &&
            !PyErr_ExceptionMatches(PyExc_MemoryError))
            return 1;
        PyErr_Clear();
        return 0;
    }
    int is_true = PyObject_IsTrue(found);
    Py_DecRef(found);
    return is_true != 0;
}

enum answer raised(void) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL) PyException_SetTraceback(error, trace);
    int ends = is_of_caller(error);
    if (ends && PyErr_Occurred() == NULL) {
        PyErr_Restore(type, error, trace);
        return FAILED;
    }
    let_go(type);
    let_go(error);
    let_go(trace);
    return ends ? FAILED : MAYBE;
}

PyObject *unreadable_or_raised(void) {
    if (raised() == FAILED) return NULL;
    Py_IncRef(unreadable);
    return unreadable;
}
