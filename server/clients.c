/* clients.c - the registry of connections, one for all loops.
 *
 * A doubly linked list in the order of ids: a connection is added at the end when it begins and taken out when it
 * ends, both under one lock that no request takes. Whoever wants to see them walks the list under that lock, so
 * that no client goes away beneath a reader. A client's words are changed under it too; its own thread, the only
 * writer, may read them without. Not here: closing connections, and the text of CLIENT LIST (cmd_connection.c).
 */
#include "server/clients.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct clients {
    pthread_mutex_t lock;
    struct client *first, *last;
    uint64_t next_id;
    _Atomic size_t count; /* changed under the lock; read without, as of some moment */
};

struct clients *clients_new(void) {
    struct clients *clients = calloc(1, sizeof *clients);

    if (clients == NULL) return NULL;
    pthread_mutex_init(&clients->lock, NULL);
    clients->next_id = 1;
    return clients;
}

void clients_free(struct clients *clients) {
    if (clients == NULL) return;
    pthread_mutex_destroy(&clients->lock);
    free(clients);
}

void clients_add(struct clients *clients, struct client *client) {
    pthread_mutex_lock(&clients->lock);
    client->id = clients->next_id++;
    client->previous = clients->last;
    client->next = NULL;
    if (clients->last != NULL) {
        clients->last->next = client;
    } else {
        clients->first = client;
    }
    clients->last = client;
    atomic_fetch_add_explicit(&clients->count, 1, memory_order_relaxed);
    pthread_mutex_unlock(&clients->lock);
}

void clients_remove(struct clients *clients, struct client *client) {
    pthread_mutex_lock(&clients->lock);
    if (client->previous != NULL) {
        client->previous->next = client->next;
    } else {
        clients->first = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    } else {
        clients->last = client->previous;
    }
    atomic_fetch_sub_explicit(&clients->count, 1, memory_order_relaxed);
    pthread_mutex_unlock(&clients->lock);
    for (size_t i = 0; i < CLIENT_WORDS; i++) {
        free(client->words[i]);
        client->words[i] = NULL;
    }
}

size_t clients_count(const struct clients *clients) {
    return atomic_load_explicit(&clients->count, memory_order_relaxed);
}

void clients_visit(struct clients *clients, bool (*visit)(void *context, struct client *client), void *context) {
    pthread_mutex_lock(&clients->lock);
    for (struct client *client = clients->first; client != NULL; client = client->next) {
        if (!visit(context, client)) break;
    }
    pthread_mutex_unlock(&clients->lock);
}

bool client_say(struct clients *clients, struct client *client, enum client_word which, struct strobe_slice word) {
    char *copy = NULL;

    if (word.len > 0) {
        copy = malloc(word.len + 1); /* the word has no NUL behind it, so strndup is not for it */
        if (copy == NULL) return false;
        memcpy(copy, word.data, word.len);
        copy[word.len] = '\0';
    }
    pthread_mutex_lock(&clients->lock);
    char *old = client->words[which];
    client->words[which] = copy;
    pthread_mutex_unlock(&clients->lock);
    free(old);
    return true;
}

const char *client_word(const struct client *client, enum client_word which) {
    return client->words[which] != NULL ? client->words[which] : "";
}
