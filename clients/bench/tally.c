/* tally.c - counting, and adding up what threads counted. */
#include "clients/bench/tally.h"

#include <string.h>

void tally_init(struct tally *tally) {
    memset(tally, 0, sizeof *tally);
    tally->started = UINT64_MAX;
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) histogram_init(&tally->latency[i]);
    histogram_init(&tally->lag);
}

void tally_merge(struct tally *tally, const struct tally *from) {
    if (from->started < tally->started) tally->started = from->started;
    if (from->ended > tally->ended) tally->ended = from->ended;
    tally->cpu += from->cpu;
    tally->sent += from->sent;
    tally->received += from->received;
    tally->hits += from->hits;
    tally->misses += from->misses;
    tally->intended += from->intended;
    for (int i = 0; i < TALLY_FAULTS_COUNT; i++) tally->faults[i] += from->faults[i];
    if (tally->first_fault[0] == '\0') memcpy(tally->first_fault, from->first_fault, sizeof tally->first_fault);
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) histogram_merge(&tally->latency[i], &from->latency[i]);
    histogram_merge(&tally->lag, &from->lag);
}

void tally_fault(struct tally *tally, enum tally_fault fault, uint64_t count, struct strobe_slice words) {
    tally->faults[fault] += count;
    if (tally->first_fault[0] != '\0' || words.len == 0) return;
    size_t len = words.len < TALLY_TEXT ? words.len : TALLY_TEXT - 1;
    for (size_t i = 0; i < len; i++) {
        char c = words.data[i];
        tally->first_fault[i] = (char)(c < ' ' || c > '~' ? '?' : c);
    }
    tally->first_fault[len] = '\0';
}

uint64_t tally_faults(const struct tally *tally) {
    uint64_t sum = 0;

    for (int i = 0; i < TALLY_FAULTS_COUNT; i++) sum += tally->faults[i];
    return sum;
}

uint64_t tally_requests(const struct tally *tally) {
    uint64_t sum = 0;

    for (int i = 0; i < LOAD_KINDS_COUNT; i++) sum += tally->latency[i].total;
    return sum;
}
