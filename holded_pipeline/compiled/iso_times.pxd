"""Times of the forms that most producers write; see `iso_times.pyx`."""

cdef bint read_iso(const unsigned char* at, Py_ssize_t length, long long* microseconds) noexcept nogil
cdef object datetime_of(long long microseconds)
