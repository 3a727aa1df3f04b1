/* The part of CPython's stable ABI (3.11 and later, with a GIL) that compiled code calls.
 *
 * Declared here, not included: a machine without Python's headers builds it too, once for all
 * versions. See https://docs.python.org/3/c-api/stable.html. */

#ifndef MQL_STABLE_ABI_H
#define MQL_STABLE_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef struct object_type PyTypeObject;

typedef struct {
    intptr_t reference_count; /* never touched but by Py_IncRef and Py_DecRef */
    PyTypeObject *type;
} PyObject;

typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);

typedef PyObject *(*PyCFunctionFast)(PyObject *, PyObject *const *, intptr_t);

typedef struct {
    const char *name;
    PyCFunction function;
    int flags;
    const char *doc;
} PyMethodDef;

enum { METH_NOARGS = 0x0004, METH_O = 0x0008, METH_FASTCALL = 0x0080 };

extern PyObject _Py_NoneStruct, _Py_TrueStruct;
extern PyTypeObject PyBool_Type, PyByteArray_Type, PyBytes_Type, PyCFunction_Type, PyDict_Type,
    PyFloat_Type, PyList_Type, PyLong_Type, PyTuple_Type, PyType_Type, PyUnicode_Type;
extern PyObject *PyExc_Exception, *PyExc_MemoryError, *PyExc_RecursionError, *PyExc_ValueError;

void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);

PyObject *PyErr_Occurred(void);
int PyErr_ExceptionMatches(PyObject *);
void PyErr_Clear(void);
void PyErr_Fetch(PyObject **, PyObject **, PyObject **);
void PyErr_NormalizeException(PyObject **, PyObject **, PyObject **);
void PyErr_Restore(PyObject *, PyObject *, PyObject *);
int PyException_SetTraceback(PyObject *, PyObject *);
PyObject *PyErr_NoMemory(void);
void PyErr_SetString(PyObject *, const char *);

void *PyMem_Calloc(size_t, size_t);
void PyMem_Free(void *);
void *PyMem_Realloc(void *, size_t);

char *PyByteArray_AsString(PyObject *);
intptr_t PyObject_Hash(PyObject *);
intptr_t PyByteArray_Size(PyObject *);
char *PyBytes_AsString(PyObject *);
int PyBytes_AsStringAndSize(PyObject *, char **, intptr_t *);
intptr_t PyBytes_Size(PyObject *);
PyObject *PyBytes_FromStringAndSize(const char *, intptr_t);
PyObject *PyCapsule_New(void *, const char *, void (*)(PyObject *));
void *PyCapsule_GetPointer(PyObject *, const char *);
PyCFunction PyCFunction_GetFunction(PyObject *);
int PyCFunction_GetFlags(PyObject *);
PyObject *PyCFunction_GetSelf(PyObject *);
PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *);

PyObject *PyBool_FromLong(long);
PyObject *PyCodec_LookupError(const char *);
int PyDict_Contains(PyObject *, PyObject *);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *);
int PyDict_Next(PyObject *, intptr_t *, PyObject **, PyObject **);
double PyFloat_AsDouble(PyObject *);
int PyIter_Check(PyObject *);
PyObject *PyIter_Next(PyObject *);
PyObject *PyList_GetItem(PyObject *, intptr_t);
intptr_t PyList_Size(PyObject *);
double PyLong_AsDouble(PyObject *);
long long PyLong_AsLongLong(PyObject *);
long long PyLong_AsLongLongAndOverflow(PyObject *, int *);
unsigned long long PyLong_AsUnsignedLongLong(PyObject *);
PyObject *PyLong_FromLongLong(long long);
PyObject *PyLong_FromUnsignedLongLong(unsigned long long);
PyObject *PyObject_CallFunctionObjArgs(PyObject *, ...);
int PyObject_IsTrue(PyObject *);
PyObject *PyTuple_GetItem(PyObject *, intptr_t);
PyObject *PyTuple_New(intptr_t);
int PyTuple_SetItem(PyObject *, intptr_t, PyObject *);
intptr_t PyTuple_Size(PyObject *);
int PyType_IsSubtype(PyTypeObject *, PyTypeObject *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, intptr_t *);
int PyUnicode_Compare(PyObject *, PyObject *);
intptr_t PyUnicode_GetLength(PyObject *);

#endif
