// Runs the steps of a plan, whose kernels are linked in, on the machine that this is compiled for. `main.rs` writes the job, and says in which order.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void kernel(void *const *operands, size_t batch, size_t begin, size_t end, void *scratch);
extern kernel *const rnc_kernels[];

enum { BUFFER, CONSTANT, INPUT, OUTPUT };
enum { PORTS = 64, OPERANDS = 64 };

static void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static void read_bytes(FILE *job, void *to, size_t count) {
    if (fread(to, 1, count, job) != count) fail("the job is too short");
}

static uint64_t number(FILE *job) {
    uint64_t value;
    read_bytes(job, &value, sizeof value);
    return value;
}

static uint8_t *memory(size_t bytes) {
    uint8_t *start = aligned_alloc(64, (bytes / 64 + 1) * 64);
    if (!start) fail("no memory");
    return start;
}

// A size, and so many bytes.
static uint8_t *blob(FILE *job) {
    size_t bytes = number(job);
    uint8_t *start = memory(bytes);
    read_bytes(job, start, bytes);
    return start;
}

int main(int argc, char **argv) {
    FILE *job = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!job) fail("usage: harness JOB");
    uint8_t *places[4] = {[BUFFER] = memory(number(job))};
    uint8_t *scratch = memory(number(job));
    places[CONSTANT] = blob(job);

    uint8_t *inputs[PORTS], *outputs[PORTS];
    size_t output_bytes[PORTS];
    uint64_t input_count = number(job);
    for (uint64_t i = 0; i < input_count; i++) inputs[i] = blob(job);
    uint64_t output_count = number(job);
    for (uint64_t i = 0; i < output_count; i++) outputs[i] = memory(output_bytes[i] = number(job));

    uint64_t batch = number(job), steps = number(job);
    for (uint64_t step = 0; step < steps; step++) {
        void *operands[OPERANDS];
        uint64_t tasks = number(job), count = number(job);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t kind = number(job), at = number(job);
            operands[i] = kind == INPUT ? inputs[at] : kind == OUTPUT ? outputs[at] : places[kind] + at;
        }
        // In two parts, as two threads would.
        rnc_kernels[step](operands, batch, 0, tasks / 2, scratch);
        rnc_kernels[step](operands, batch, tasks / 2, tasks, scratch);
    }
    for (uint64_t i = 0; i < output_count; i++)
        if (fwrite(outputs[i], 1, output_bytes[i], stdout) != output_bytes[i]) fail("cannot write the outputs");
    return 0;
}
