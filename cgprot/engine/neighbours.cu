/* Who hears whom: the edges within the cutoff, found anew at every step from the positions alone.
 *
 * Beads are entered into cells as linked lists; a warp then walks the cells around its bead, a cell a lane,
 * and puts what it finds in order. So neither the order in which beads were entered nor the number of
 * replicas leaves a trace. In free space the cells repeat themselves and `box` is 0: what lies in a cell far
 * away fails the test of its distance.
 *
 * An edge of bead b is number b * room + 0 ... count[b] - 1, by sender, then by displacement. What went
 * wrong stays in `problem` until the host has read it:
 */
#define NEEDED 0     /* the most edges of a bead, if beyond `room` */
#define COINCIDENT 1 /* the lowest pair of beads without a direction between them, else ~0 */
#define NOT_FINITE 2 /* the lowest bead whose position is not finite, else ~0 */

#define CLOSEST 1e-6 /* Angstrom */

KERNEL clear_cells(whole n_heads, int *head)
{
    const whole n_threads = (whole)gridDim.x * blockDim.x;
    for (whole i = (whole)blockIdx.x * blockDim.x + threadIdx.x; i < n_heads; i += n_threads)
        head[i] = -1;
}

/* positions (n_total, 3); inverse (3, 3), of the matrix of box vectors; n_cells (3), along each of them.
 * head (n_replicas, cells), next (n_total): the lists; cell, image (n_total, 3): where a bead is. */
KERNEL enter_cells(whole n_total, whole n_beads, const double *positions, const double *inverse,
                   const whole *n_cells, int *head, int *next, int *cell, double *image, word *problem)
{
    const whole b = (whole)blockIdx.x * blockDim.x + threadIdx.x;
    if (b >= n_total)
        return;
    whole number = 0;
    int is_finite = 1;
    for (int k = 0; k < 3; ++k) {
        double fraction = 0;
        for (int axis = 0; axis < 3; ++axis)
            fraction += positions[3 * b + axis] * inverse[3 * axis + k];
        if (!(fabs(positions[3 * b + k]) < 1e300) || !(fabs(fraction) < 1e300)) {
            is_finite = 0;
            fraction = 0;
        }
        image[3 * b + k] = floor(fraction);
        whole place = (whole)((fraction - image[3 * b + k]) * (double)n_cells[k]);
        place = place >= n_cells[k] ? n_cells[k] - 1 : place;
        cell[3 * b + k] = (int)place;
        number = number * n_cells[k] + place;
    }
    if (is_finite)
        next[b] = atomicExch(&head[b / n_beads * (n_cells[0] * n_cells[1] * n_cells[2]) + number], (int)b);
    else
        atomicMin(&problem[NOT_FINITE], (word)b);
}

/* Whether edge `e` found comes before edge `f`. */
INLINE int comes_before(whole e, whole f, const int *sender, const double *vector)
{
    if (sender[e] != sender[f])
        return sender[e] < sender[f];
    for (int k = 0; k < 3; ++k)
        if (vector[3 * e + k] != vector[3 * f + k])
            return vector[3 * e + k] < vector[3 * f + k];
    return 0;
}

/* The edges of a bead in order. found_sender, found_vector: as they were met, room for each bead. Written:
 * sender, interval (the row of the tables), fraction (the place in it), inverse_distance, direction (from
 * the sender to the receiver). `horizon`: as in grid.py. */
INLINE void put_in_order(whole b, int n, whole room, double horizon, whole n_intervals, const int *found_sender,
                         const double *found_vector, int *sender, int *interval, real *fraction,
                         real *inverse_distance, real *direction)
{
    for (whole e = b * room + threadIdx.x; e < b * room + n; e += WARP) {
        whole place = b * room;
        for (whole other = b * room; other < b * room + n; ++other)
            place += comes_before(other, e, found_sender, found_vector);
        const double *v = found_vector + 3 * e;
        const double r = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        sender[place] = found_sender[e];
        const double x = horizon * r / (r + SOFT);
        interval[place] = x < n_intervals ? (int)x : (int)n_intervals - 1;
        fraction[place] = (real)(x - interval[place]);
        inverse_distance[place] = (real)(1 / r);
        for (int k = 0; k < 3; ++k)
            direction[3 * place + k] = (real)(v[k] / r);
    }
}

/* A warp a bead. spread (3): how many cells away a neighbour may be; box (3, 3): the box vectors. */
KERNEL find_edges(whole n_total, whole n_beads, whole room, double cutoff, double horizon, whole n_intervals,
                  const double *positions, const whole *n_cells, const whole *spread, const double *box,
                  const int *head, const int *next, const int *cell, const double *image, int *found_sender,
                  double *found_vector, int *count, int *sender, int *interval, real *fraction,
                  real *inverse_distance, real *direction, word *problem)
{
    __shared__ int n_found[WARP];
    const whole b = (whole)blockIdx.x * blockDim.y + threadIdx.y;
    int *found = &n_found[threadIdx.y];
    if (b >= n_total)
        return;
    if (threadIdx.x == 0)
        *found = 0;
    __syncwarp(ALL_LANES);
    const whole n_steps = (2 * spread[0] + 1) * (2 * spread[1] + 1) * (2 * spread[2] + 1);
    const whole first = b / n_beads * (n_cells[0] * n_cells[1] * n_cells[2]);
    for (whole step = threadIdx.x; step < n_steps; step += WARP) {
        whole rest = step, number = 0, width = 1, is_away = 0;
        double away[3];
        for (int k = 2; k >= 0; --k) {
            const whole wide = cell[3 * b + k] + rest % (2 * spread[k] + 1) - spread[k];
            const whole images = wide >= 0 ? wide / n_cells[k] : -((n_cells[k] - 1 - wide) / n_cells[k]);
            rest /= 2 * spread[k] + 1;
            number += (wide - images * n_cells[k]) * width;
            width *= n_cells[k];
            away[k] = (double)images + image[3 * b + k];
            is_away |= images != 0;
        }
        for (int j = head[first + number]; j >= 0; j = next[j]) {
            if (j == b && !is_away)
                continue;
            double v[3];
            for (int k = 0; k < 3; ++k) {
                /* An odd function of the pair, to the last bit: both ends agree on what is an edge. */
                v[k] = positions[3 * b + k] - positions[3 * (whole)j + k];
                for (int axis = 0; axis < 3; ++axis)
                    v[k] -= (away[axis] - image[3 * (whole)j + axis]) * box[3 * axis + k];
            }
            const double r = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            if (!(r < cutoff))
                continue;
            if (r < CLOSEST)
                atomicMin(&problem[COINCIDENT], (word)(b < j ? b : j) << 32 | (word)(b < j ? j : b));
            const whole place = atomicAdd(found, 1);
            if (place >= room)
                continue;
            found_sender[b * room + place] = j;
            for (int k = 0; k < 3; ++k)
                found_vector[3 * (b * room + place) + k] = v[k];
        }
    }
    __syncwarp(ALL_LANES);
    const int n = *found < room ? *found : (int)room;
    if (threadIdx.x == 0) {
        count[b] = n;
        if (*found > room)
            atomicMax(&problem[NEEDED], (word)*found);
    }
    put_in_order(b, n, room, horizon, n_intervals, found_sender, found_vector, sender, interval, fraction,
                 inverse_distance, direction);
}
