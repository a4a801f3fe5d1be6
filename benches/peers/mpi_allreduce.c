/* All-reduce of one f32 vector with MPI, in place, between processes of this machine.
 *
 *     apt-get install openmpi-bin libopenmpi-dev
 *     mpicc -O2 -o mpi_allreduce mpi_allreduce.c
 *     mpirun --oversubscribe -np PROCESSES ./mpi_allreduce [BYTES ...]     (as root: --allow-run-as-root)
 *
 * Prints a line per size: "mpi", processes, bytes, median microseconds of a call after a barrier, microseconds
 * of a call in a row of them; as rank 0 sees them.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARM_UP = 5, MOST_REPEATS = 300 };

static const long SIZES[] = {4L << 10, 256L << 10, 4L << 20, 25L << 20, 100L << 20};

static int ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static long repeats_for(long bytes) {
    const long wanted = 200000000L / bytes;
    return wanted < 7 ? 7 : wanted > MOST_REPEATS ? MOST_REPEATS : wanted;
}

static void reduce(float *vector, long elements) {
    MPI_Allreduce(MPI_IN_PLACE, vector, (int)elements, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static void measure(long bytes, int rank, int processes) {
    const long elements = bytes / (long)sizeof(float), repeats = repeats_for(bytes);
    float *vector = malloc((size_t)bytes);
    double times[MOST_REPEATS];
    for (long repeat = 0; repeat < repeats + WARM_UP; repeat++) {
        for (long i = 0; i < elements; i++) vector[i] = 1.0f;
        MPI_Barrier(MPI_COMM_WORLD);
        const double started = MPI_Wtime();
        reduce(vector, elements);
        const double elapsed = MPI_Wtime() - started;
        if (repeat >= WARM_UP) times[repeat - WARM_UP] = elapsed;
        else if (vector[0] != (float)processes) MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    const double started = MPI_Wtime();
    for (long repeat = 0; repeat < repeats; repeat++) reduce(vector, elements);
    const double row = (MPI_Wtime() - started) / (double)repeats;
    qsort(times, (size_t)repeats, sizeof times[0], ascending);
    if (rank == 0) {
        printf("mpi\t%d\t%ld\t%.2f\t%.2f\n", processes, bytes, times[repeats / 2] * 1e6, row * 1e6);
        fflush(stdout);
    }
    free(vector);
}

int main(int count, char **arguments) {
    int rank, processes;
    MPI_Init(&count, &arguments);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &processes);
    if (count > 1) {
        for (int i = 1; i < count; i++) measure(atol(arguments[i]), rank, processes);
    } else {
        for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) measure(SIZES[i], rank, processes);
    }
    MPI_Finalize();
    return 0;
}
