/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/figures.h"

#include <stdio.h>
#include <stdlib.h>

#include "text.h"

/* As the JSON names them. */
static const char *const unit_names[] = {
    [FIGURE_MICROSECONDS] = "us",    [FIGURE_PER_SECOND] = "per_second",
    [FIGURE_MB_PER_SECOND] = "MB/s", [FIGURE_RATIO] = "ratio",
    [FIGURE_BYTES] = "bytes",        [FIGURE_COUNT] = "count"};

static int add(struct figures *figures, struct figure figure, struct hf_error *err)
{
    struct figure *more = reallocarray(figures->list, figures->count + 1, sizeof figures->list[0]);

    if (!more) {
        samples_free(&figure.samples);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    figures->list = more;
    figures->list[figures->count++] = figure;
    return HF_OK;
}

int figures_add_samples(struct figures *figures, const char *name, struct samples *samples,
                        struct hf_error *err)
{
    struct figure figure = {.name = name, .unit = FIGURE_MICROSECONDS, .samples = *samples};

    *samples = (struct samples){0};
    samples_sort(&figure.samples);
    return add(figures, figure, err);
}

int figures_add(struct figures *figures, const char *name, enum figure_unit unit, double value,
                struct hf_error *err)
{
    return add(figures, (struct figure){.name = name, .unit = unit, .value = value}, err);
}

int figures_add_rate(struct figures *figures, const char *name, uint64_t bytes, int64_t ns,
                     struct hf_error *err)
{
    return figures_add(figures, name, FIGURE_MB_PER_SECOND,
                       (double)bytes * 1000 / (double)(ns > 0 ? ns : 1), err);
}

int figures_leave_out(struct figures *figures, const char *name, const char *why,
                      struct hf_error *err)
{
    return add(figures, (struct figure){.name = name, .left_out = why}, err);
}

static json_t *figure_json(const struct figure *figure)
{
    json_t *object;

    if (figure->left_out)
        return json_pack("{s:s}", "left_out", figure->left_out);
    if (figure->unit != FIGURE_MICROSECONDS)
        return json_pack("{s:s, s:f}", "unit", unit_names[figure->unit], "value", figure->value);
    object = samples_json(&figure->samples);
    if (json_is_object(object))
        (void)json_object_set_new(object, "unit", json_string(unit_names[figure->unit]));
    return object;
}

json_t *figures_json(const struct figures *figures)
{
    json_t *object = json_object();

    for (size_t i = 0; i < figures->count; i++)
        if (json_object_set_new(object, figures->list[i].name, figure_json(&figures->list[i])) !=
            0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static void print_value(const struct figure *figure)
{
    char text[TEXT_SHORT];

    switch (figure->unit) {
    case FIGURE_MICROSECONDS:
        break;
    case FIGURE_PER_SECOND:
        printf(" %10.0f /s\n", figure->value);
        break;
    case FIGURE_MB_PER_SECOND:
        printf(" %10.1f MB/s\n", figure->value);
        break;
    case FIGURE_RATIO:
        printf(" %10.3f\n", figure->value);
        break;
    case FIGURE_BYTES:
        printf(" %10s\n", text_size((uint64_t)figure->value, text));
        break;
    case FIGURE_COUNT:
        printf(" %10.1f\n", figure->value);
        break;
    }
}

static void print_figure(const struct figure *figure)
{
    const struct samples *samples = &figure->samples;

    printf("  %-28s", figure->name);
    if (figure->left_out)
        printf(" left out: %s\n", figure->left_out);
    else if (figure->unit != FIGURE_MICROSECONDS)
        print_value(figure);
    else
        printf(" %10.1f us  %10.1f %10.1f %10.1f\n", samples_micros(samples, 0.5),
               samples_micros(samples, 0.9), samples_micros(samples, 0.99),
               samples_micros(samples, 1));
}

void figures_print(const struct figures *figures, const char *title)
{
    printf("%-30s %10s     %10s %10s %10s\n", title, "MEDIAN", "P90", "P99", "LONGEST");
    for (size_t i = 0; i < figures->count; i++)
        print_figure(&figures->list[i]);
}

void figures_free(struct figures *figures)
{
    for (size_t i = 0; i < figures->count; i++)
        samples_free(&figures->list[i].samples);
    free(figures->list);
    *figures = (struct figures){0};
}
