/* Mistakes that the sanitizers have to find. In no library but that of `test_sanitizer.py`. */

#include "../../mql/host/stable_abi.h"

/* Of an array as the libraries have them: the byte after its end. */
void overflow_array(PyObject *size) {
    intptr_t bytes = (intptr_t)PyLong_AsLongLong(size);
    char *array = PyMem_Calloc((size_t)bytes, 1);
    array[bytes] = 1;
    PyMem_Free(array);
}

/* Of an object of Python: the byte after the one that ends it. */
void overflow_object(PyObject *bytes) { PyBytes_AsString(bytes)[PyBytes_Size(bytes) + 1] = 1; }

/* Of an object that is gone: its type, which the libraries read of each value. */
int use_after_free(PyObject *list) {
    PyObject *element = PyList_GetItem(list, 0);
    PyObject_CallFunctionObjArgs(PyList_GetItem(list, 1), NULL);
    return element->type == &PyUnicode_Type;
}

/* Of an integer. */
void overflow_integer(PyObject *number) {
    volatile long long whole = PyLong_AsLongLong(number);
    whole = whole + whole;
}
