/* What tests push as an image: a static server that tells what it finds around it, and a task that ends as it is told. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

static void finish(int signal) { (void)signal; write(1, "ending\n", 7); _exit(0); }

static void say_file(FILE *out, const char *path) {
    FILE *file = fopen(path, "r");
    char line[4096];
    if (!file) { fprintf(out, "none\n"); return; }
    while (fgets(line, sizeof line, file)) fputs(line, out);
    fclose(file);
}

static void answer(FILE *out, const char *path, int argc, char **argv) {
    if (!strcmp(path, "/env")) for (char **one = environ; *one; one++) fprintf(out, "%s\n", *one);
    else if (!strcmp(path, "/args")) for (int i = 0; i < argc; i++) fprintf(out, "%s\n", argv[i]);
    else if (!strcmp(path, "/who")) {
        char folder[4096];
        fprintf(out, "uid=%d gid=%d pid=%d cwd=%s\n", getuid(), getgid(), getpid(), getcwd(folder, sizeof folder));
    } else if (!strncmp(path, "/list/", 6)) {
        DIR *folder = opendir(path + 5);
        struct dirent *entry;
        while (folder && (entry = readdir(folder))) if (entry->d_name[0] != '.') fprintf(out, "%s\n", entry->d_name);
        if (folder) closedir(folder);
    } else if (!strncmp(path, "/file/", 6)) say_file(out, path + 5);
    else if (!strncmp(path, "/write/", 7)) {
        FILE *file = fopen(path + 6, "w");
        fprintf(out, file ? "written\n" : "refused\n");
        if (file) { fputs("mine\n", file); fclose(file); }
    } else if (!strcmp(path, "/crash")) _exit(9);
    else fprintf(out, "hello\n");
}

int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "exit")) { printf("task %s\n", getenv("CLOUD_RUN_TASK_INDEX")); fflush(stdout); return atoi(argv[2]); }
    signal(SIGTERM, finish);
    printf("starting\n");
    fflush(stdout);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    int door = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 64)) { perror("listen"); return 9; }
    for (;;) {
        int caller = accept(door, 0, 0);
        char head[16384] = "", path[4096] = "/", *body = 0;
        size_t size = 0, got = 0;
        for (ssize_t some; !strstr(head, "\r\n\r\n") && (some = read(caller, head + got, sizeof head - 1 - got)) > 0;) head[got += some] = 0;
        sscanf(head, "%*s %4095s", path);
        FILE *out = open_memstream(&body, &size);
        answer(out, path, argc, argv);
        fclose(out);
        dprintf(caller, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", size);
        write(caller, body, size);
        free(body);
        close(caller);
    }
}
