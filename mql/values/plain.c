/* The JSON text of what holds nothing but exact JSON types, by the writer that is given; all else is
 * handed to another function.
 *
 * That writer borrows what it walks through. So no code may run before it has ended: not that of a
 * value's own, nor a signal's handler or a finalizer, which other threads may follow. What it does for
 * the values that are let through here runs none, and allocates nothing that the collector of garbage
 * looks at. What may run some here ends the look, and holds what it looks at. */

#include "../host/handed.h"

/* LEVELS of nesting, at most. */
enum { WRITER_ITEMS = 7, LEVELS = 32, KEYS = 256, LONGEST_KEY = 64 };

struct writer {
    PyObject *held; /* the tuple that all of these are in */
    PyCFunctionFast write; /* a method of `encoder` */
    PyObject *encoder, *otherwise;
    PyObject *strict;     /* what is called of texts that have no UTF-8, unless it was replaced */
    PyCFunction is_ascii; /* `str.isascii` */
    int objects_only;
    intptr_t values, characters; /* at most */
    PyObject *keys[KEYS]; /* short texts with UTF-8, each in its place, if another one is not there */
};

/* How much more may be in what is looked at. */
struct look {
    struct writer *writer;
    intptr_t values, characters;
    int is_strict; /* half a surrogate pair raises at once */
};

/* Once for each look: to look it up takes longer than a short text does. */
static int is_strict(struct look *look) {
    if (look->is_strict) return 1;
    PyObject *handler = PyCodec_LookupError("strict");
    if (handler == NULL)
        PyErr_Clear();
    else
        Py_DecRef(handler);
    return look->is_strict = handler == look->writer->strict;
}

/* Whether a text has UTF-8, which it keeps: who asks for it next runs no code. */
static int has_utf8(struct look *look, PyObject *text) {
    intptr_t size;
    if (!is_strict(look)) return 0;
    Py_IncRef(text);
    int has = PyUnicode_AsUTF8AndSize(text, &size) != NULL;
    Py_DecRef(text);
    if (!has) PyErr_Clear(); /* to raise may have run anything */
    return has;
}

static int is_text(struct look *look, PyObject *text) {
    PyObject *ascii = look->writer->is_ascii(text, NULL);
    int is_ascii = ascii == &_Py_TrueStruct;
    Py_DecRef(ascii);
    look->characters -= PyUnicode_GetLength(text);
    return look->characters >= 0 && (is_ascii || has_utf8(look, text));
}

/* One of more than 64 bits is written by code that looks for signals. */
static int is_short(PyObject *number) {
    int beyond;
    PyLong_AsLongLongAndOverflow(number, &beyond);
    if (beyond == 0) return 1;
    if (beyond < 0) return 0;
    PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred() == NULL) return 1;
    PyErr_Clear();
    return 0;
}

/* Events have the same keys over and over, which need not be looked at each time. */
static int is_key(struct look *look, PyObject *key) {
    PyObject **known = &look->writer->keys[((uintptr_t)key >> 4 ^ (uintptr_t)key >> 12) % KEYS];
    if (*known == key) return 1;
    if (!is(key, &PyUnicode_Type) || !is_text(look, key)) return 0;
    if (PyUnicode_GetLength(key) > LONGEST_KEY) return 1;
    PyObject *before = *known;
    Py_IncRef(*known = key);
    if (before != NULL) Py_DecRef(before);
    return 1;
}

static int is_plain(struct look *look, PyObject *value, intptr_t levels);

static int is_plain_dict(struct look *look, PyObject *dict, intptr_t levels) {
    intptr_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (!is_key(look, key) || !is_plain(look, value, levels)) return 0;
    }
    return 1;
}

static int is_plain_list(struct look *look, PyObject *list, intptr_t levels) {
    intptr_t size = PyList_Size(list);
    for (intptr_t i = 0; i < size; i++)
        if (!is_plain(look, PyList_GetItem(list, i), levels)) return 0;
    return 1;
}

static int is_plain_tuple(struct look *look, PyObject *tuple, intptr_t levels) {
    intptr_t size = PyTuple_Size(tuple);
    for (intptr_t i = 0; i < size; i++)
        if (!is_plain(look, PyTuple_GetItem(tuple, i), levels)) return 0;
    return 1;
}

/* Whether a value is of exact JSON types, all the way down, and neither deep nor large. Once this is
 * false, anything may have run, and what led there may be gone. */
static int is_plain(struct look *look, PyObject *value, intptr_t levels) {
    if (--look->values < 0) return 0;
    if (is(value, &PyUnicode_Type)) return is_text(look, value);
    if (is(value, &PyLong_Type)) return is_short(value);
    if (is(value, &PyFloat_Type) || is(value, &PyBool_Type) || value == &_Py_NoneStruct) return 1;
    if (levels == 0) return 0;
    if (is(value, &PyDict_Type)) return is_plain_dict(look, value, levels - 1);
    if (is(value, &PyList_Type)) return is_plain_list(look, value, levels - 1);
    return is(value, &PyTuple_Type) && is_plain_tuple(look, value, levels - 1);
}

static PyObject *write(PyObject *self, PyObject *value) {
    struct writer *writer = PyCapsule_GetPointer(self, NULL);
    struct look look = {writer, writer->values, writer->characters, 0};
    int plain = !writer->objects_only || is(value, &PyDict_Type);
    plain = plain && is_plain(&look, value, LEVELS);
    if (plain) return writer->write(writer->encoder, &value, 1);
    return PyObject_CallFunctionObjArgs(writer->otherwise, value, NULL);
}

static PyMethodDef WRITE = {"write", write, METH_O, NULL};

static void free_writer(PyObject *self) {
    struct writer *writer = PyCapsule_GetPointer(self, NULL);
    for (int i = 0; i < KEYS; i++)
        if (writer->keys[i] != NULL) Py_DecRef(writer->keys[i]);
    Py_DecRef(writer->held);
    PyMem_Free(writer);
}

/* Whether a function of C is called so; of another build of what it is part of it may not be. */
static int is_called(PyObject *function, int flags) {
    return is(function, &PyCFunction_Type) && PyCFunction_GetFlags(function) == flags;
}

/* One without arguments. */
static int is_method_of_text(PyObject *function) {
    if (!is_called(function, METH_NOARGS)) return 0;
    PyObject *text = PyCFunction_GetSelf(function);
    return text != NULL && is(text, &PyUnicode_Type);
}

static int is_limit(PyObject *value) { return is_whole_in(value, 0, INTPTR_MAX); }

/* What writes values. `held` is (write, otherwise, strict, "".isascii, objects_only, values,
 * characters). None if `write` or `isascii` is called otherwise than it was. */
PyObject *make_writer(PyObject *held) {
    if (!is_tuple_of(held, WRITER_ITEMS)) return refuse("a writer is made of WRITER_ITEMS");
    PyObject *given = PyTuple_GetItem(held, 0), *ascii = PyTuple_GetItem(held, 3);
    PyObject *objects_only = PyTuple_GetItem(held, 4);
    PyObject *values = PyTuple_GetItem(held, 5), *characters = PyTuple_GetItem(held, 6);
    if (!is(objects_only, &PyBool_Type)) return refuse("whether it writes objects only is a truth");
    if (!is_limit(values) || !is_limit(characters))
        return refuse("a limit is an integer, and not negative");
    if (!is_called(given, METH_FASTCALL) || !is_method_of_text(ascii)) {
        Py_IncRef(&_Py_NoneStruct);
        return &_Py_NoneStruct;
    }
    struct writer *writer = PyMem_Calloc(1, sizeof *writer);
    if (writer == NULL) return PyErr_NoMemory();
    Py_IncRef(writer->held = held);
    writer->write = (PyCFunctionFast)(void *)PyCFunction_GetFunction(given);
    writer->encoder = PyCFunction_GetSelf(given);
    writer->otherwise = PyTuple_GetItem(held, 1);
    writer->strict = PyTuple_GetItem(held, 2);
    writer->is_ascii = PyCFunction_GetFunction(ascii);
    writer->objects_only = objects_only == &_Py_TrueStruct;
    writer->values = (intptr_t)whole_of(values);
    writer->characters = (intptr_t)whole_of(characters);
    return function_of(&WRITE, writer, held, free_writer);
}

/* What Python compares before it uses any of this. */
const struct constant *constants_of_plain(void) {
    static struct constant constants[] = {
        {"READS_OBJECTS", 0}, CONSTANT(WRITER_ITEMS), CONSTANT(LEVELS), {NULL, 0},
    };
    constants[0].value = reads_objects();
    return constants;
}
