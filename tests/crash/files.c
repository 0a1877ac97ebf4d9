// SPDX-License-Identifier: GPL-2.0
/*
 * A file system or a database on the recorded vault.  Before a file is changed
 * the log gets a mark, and another one when an fsync has made a promise of it; so
 * at each point of the log it is known which files must be there, and how.  At a
 * crash point the file system is mounted, which replays its journal, all that was
 * promised is compared, and its own checker must find nothing to mend.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"

#define WHERE	"/tmp/crash-files"
#define NAMES	40u
#define DIRS	4u
#define MOST	(160u << 10)	/* bytes of a file */
#define MAX_GEN	(1u << 16)

/* What a file once held: the first bytes of what a seed gives. */
struct gen {
	u64 seed;
	u32 bytes;
};

enum promise_kind {
	PROMISED_NOTHING,
	PROMISED_THERE,
	PROMISED_GONE,
};

struct name {
	enum promise_kind kind;
	u32 gen;
	bool there;		/* while recording */
};

static struct gen gen[MAX_GEN];
static u32 nr_gens;
static struct name name[NAMES];
static bool made;		/* the file system is */
static u32 transactions;

struct worker {
	struct dm_dev *log, *vault;
	struct prng prng;
	u8 *buf;
	bool stop;
};

static void check(bool ok, const char *what)
{
	if (!ok)
		die("files: %s: %s", what, strerror(errno));
}

static void mark(struct worker *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void mark(struct worker *w, const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (dm_message(w->log, "mark %s", text))
		die("files: mark");
}

static const char *path_of(u32 n, char path[64])
{
	snprintf(path, 64, WHERE "/d%u/f%u", n % DIRS, n);
	return path;
}

static void sync_dir(u32 n)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), WHERE "/d%u", n % DIRS);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	check(fd >= 0 && !fsync(fd), "fsync of a directory");
	close(fd);
}

static void contents(const struct gen *g, u8 *buf)
{
	struct prng p;

	prng_seed(&p, g->seed);
	prng_fill(&p, buf, MOST);
}

/* ---- The workload ------------------------------------------------------- */

static void promise_there(struct worker *w, u32 n, struct gen g)
{
	u32 i = nr_gens++;

	if (i >= MAX_GEN)
		die("files: too many");
	gen[i] = g;
	name[n].gen = i;
	name[n].there = true;
	mark(w, "S:%u:%u", n, i);
}

/* Write by system call, or through a mapping. */
static void rewrite(struct worker *w, u32 n, bool mapped)
{
	struct gen g = { prng_next(&w->prng), 1 + prng_below(&w->prng, MOST) };
	char path[64];
	void *map;
	int fd;

	if (prng_chance(&w->prng, 50))
		g.bytes = 1 + g.bytes % 9000;
	contents(&g, w->buf);
	mark(w, "B:%u", n);
	fd = open(path_of(n, path), O_RDWR | O_CREAT, 0644);
	check(fd >= 0 && !ftruncate(fd, g.bytes), "rewriting");
	if (mapped) {
		map = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		check(map != MAP_FAILED, "mmap");
		memcpy(map, w->buf, g.bytes);
		check(!msync(map, g.bytes, MS_SYNC), "msync");
		munmap(map, g.bytes);
	} else {
		check(write(fd, w->buf, g.bytes) == g.bytes, "write");
	}
	check(!fsync(fd), "fsync");
	close(fd);
	sync_dir(n);
	promise_there(w, n, g);
}

static void truncate_one(struct worker *w, u32 n)
{
	struct gen g = gen[name[n].gen];
	char path[64];
	int fd;

	g.bytes = prng_below(&w->prng, g.bytes + 1);
	mark(w, "B:%u", n);
	fd = open(path_of(n, path), O_RDWR);
	check(fd >= 0 && !ftruncate(fd, g.bytes) && !fsync(fd), "truncate");
	close(fd);
	promise_there(w, n, g);
}

static void rename_one(struct worker *w, u32 from, u32 to)
{
	char old[64], new[64];
	u32 g = name[from].gen;

	if (from == to)
		return;
	mark(w, "B:%u", from);
	mark(w, "B:%u", to);
	check(!rename(path_of(from, old), path_of(to, new)), "rename");
	sync_dir(to);
	sync_dir(from);
	name[from].there = false;
	mark(w, "G:%u", from);
	promise_there(w, to, gen[g]);
}

static void unlink_one(struct worker *w, u32 n)
{
	char path[64];

	mark(w, "B:%u", n);
	check(!unlink(path_of(n, path)), "unlink");
	sync_dir(n);
	name[n].there = false;
	mark(w, "G:%u", n);
}

static void step(struct worker *w)
{
	u32 n = prng_below(&w->prng, NAMES), dice = prng_below(&w->prng, 100);

	if (!name[n].there || dice < 40)
		rewrite(w, n, dice & 1);
	else if (dice < 60)
		truncate_one(w, n);
	else if (dice < 80)
		rename_one(w, n, prng_below(&w->prng, NAMES));
	else if (dice < 95)
		unlink_one(w, n);
	else if (dm_message(w->vault, "checkpoint"))
		die("files: checkpoint");
}

/* Files of which nothing is promised: load, and space that is freed again. */
static void *litter(void *arg)
{
	struct worker *w = arg;
	char path[64];
	u32 i;
	int fd;

	for (i = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
		snprintf(path, sizeof(path), WHERE "/litter/%u", i % 12);
		if (prng_chance(&w->prng, 40)) {
			unlink(path);
			continue;
		}
		fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0644);
		if (fd < 0)
			continue;
		/* A full file system is fine. */
		if (write(fd, w->buf, 1 + prng_below(&w->prng, 64 << 10)) < 0)
			unlink(path);
		close(fd);
		if (prng_chance(&w->prng, 10))
			usleep(1000);
	}
	return NULL;
}

static void sql(sqlite3 *db, const char *text)
{
	char *error = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK)
		die("sqlite: %s: %s", text, error);
}

static sqlite3 *open_database(void)
{
	sqlite3 *db;

	if (sqlite3_open(WHERE "/db", &db) != SQLITE_OK)
		die("sqlite: cannot open");
	return db;
}

/* Each transaction adds a row and moves some around; all is counted at the end. */
static void database(struct worker *w, u32 steps, bool wal)
{
	sqlite3 *db = open_database();
	char text[256];
	u32 i;

	sql(db, wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
	/* FULL does not sync the directory when it removes the journal: see its manual. */
	sql(db, "PRAGMA synchronous=EXTRA");
	sql(db, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT)");
	sql(db, "CREATE INDEX IF NOT EXISTS i ON t (v)");
	for (i = 0; i < steps; i++) {
		snprintf(text, sizeof(text),
			 "BEGIN; INSERT INTO t VALUES (%u, hex(randomblob(%u)));"
			 "UPDATE t SET v = hex(randomblob(%u)) WHERE id %% 17 = %u; COMMIT",
			 transactions + 1, 20 + (u32)prng_below(&w->prng, 900),
			 20 + (u32)prng_below(&w->prng, 300),
			 (u32)prng_below(&w->prng, 17));
		sql(db, text);
		mark(w, "T:%u", ++transactions);
	}
	sqlite3_close(db);
}

static const char *type_of(const struct setup *s)
{
	return strcmp(s->files, "sqlite") ? s->files : "ext4";
}

static void make(struct worker *w, const struct setup *s)
{
	char text[128];
	u32 i;

	if (!strcmp(type_of(s), "xfs"))
		/* What lets mkfs.xfs make small ones, for tests such as this. */
		snprintf(text, sizeof(text), "TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x mkfs.xfs -q -f %s",
			 w->vault->path);
	else
		snprintf(text, sizeof(text), "mkfs.ext4 -q -F %s", w->vault->path);
	check(!system(text), "mkfs");
	mkdir(WHERE, 0755);
	check(!mount(w->vault->path, WHERE, type_of(s), 0, "discard"), "mount");
	mkdir(WHERE "/litter", 0755);
	for (i = 0; i < DIRS; i++) {
		snprintf(text, sizeof(text), WHERE "/d%u", i);
		check(!mkdir(text, 0755), "mkdir");
	}
	sync();
	mark(w, "M");
}

void files_work(struct setup *s, struct dm_dev *log, struct dm_dev *vault, u32 round)
{
	struct worker w = { .log = log, .vault = vault, .buf = malloc(MOST) };
	struct worker other = w;
	pthread_t thread;
	u32 i;

	prng_seed(&w.prng, s->seed + round);
	prng_seed(&other.prng, ~(s->seed + round));
	other.buf = calloc(1, MOST);
	if (!round)
		make(&w, s);
	else
		check(!mount(vault->path, WHERE, type_of(s), 0, "discard"), "mount");
	if (pthread_create(&thread, NULL, litter, &other))
		die("no thread");
	if (strcmp(s->files, "sqlite"))
		for (i = 0; i < s->steps; i++)
			step(&w);
	else
		database(&w, s->steps, round & 1);
	__atomic_store_n(&other.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(!umount(WHERE), "umount");
	free(w.buf);
	free(other.buf);
}

/* ---- A crash point ------------------------------------------------------ */

void files_start(void)
{
	memset(name, 0, sizeof(name));
	made = false;
	transactions = 0;
	mkdir(WHERE, 0755);
}

void files_mark(const char *text)
{
	u32 n, g;

	if (!strcmp(text, "M"))
		made = true;
	else if (sscanf(text, "B:%u", &n) == 1)
		name[n].kind = PROMISED_NOTHING;
	else if (sscanf(text, "S:%u:%u", &n, &g) == 2)
		name[n] = (struct name){ PROMISED_THERE, g, true };
	else if (sscanf(text, "G:%u", &n) == 1)
		name[n].kind = PROMISED_GONE;
	else if (sscanf(text, "T:%u", &n) == 1)
		transactions = n;
}

static bool wrong(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static bool wrong(char *why, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return false;
}

static bool as_promised(u32 n, u8 *wanted, u8 *got, char *why, size_t size)
{
	const struct gen *g = &gen[name[n].gen];
	char path[64];
	ssize_t bytes;
	int fd;

	if (name[n].kind == PROMISED_NOTHING)
		return true;
	fd = open(path_of(n, path), O_RDONLY);
	if (name[n].kind == PROMISED_GONE) {
		if (fd < 0)
			return errno == ENOENT || wrong(why, size, "%s: %s", path, strerror(errno));
		close(fd);
		return wrong(why, size, "%s is there and was removed", path);
	}
	if (fd < 0)
		return wrong(why, size, "%s was synced: %s", path, strerror(errno));
	bytes = read(fd, got, MOST);
	close(fd);
	contents(g, wanted);
	if (bytes != (ssize_t)g->bytes)
		return wrong(why, size, "%s has %zd bytes, synced were %u", path, bytes, g->bytes);
	return !memcmp(wanted, got, g->bytes) ||
	       wrong(why, size, "%s does not hold what was synced", path);
}

static bool all_files(char *why, size_t size)
{
	u8 *wanted = malloc(MOST), *got = malloc(MOST);
	bool ok = true;
	u32 n;

	for (n = 0; n < NAMES && ok; n++)
		ok = as_promised(n, wanted, got, why, size);
	free(wanted);
	free(got);
	return ok;
}

static int one_text(void *out, int columns, char **value, char **column)
{
	(void)columns;
	(void)column;
	snprintf(out, 64, "%s", value[0] ? value[0] : "");
	return 0;
}

static bool database_ok(char *why, size_t size)
{
	char integrity[64] = "", count[64] = "", last[64] = "";
	sqlite3 *db = open_database();
	bool ok;

	if (!transactions) {
		sqlite3_close(db);
		return true;
	}
	sqlite3_exec(db, "PRAGMA integrity_check", one_text, integrity, NULL);
	sqlite3_exec(db, "SELECT count(*) FROM t", one_text, count, NULL);
	sqlite3_exec(db, "SELECT max(id) FROM t", one_text, last, NULL);
	sqlite3_close(db);
	ok = !strcmp(integrity, "ok") && !strcmp(count, last) &&
	     strtoul(last, NULL, 10) >= transactions;
	return ok || wrong(why, size, "sqlite: integrity_check '%s', %s rows to %s, committed were %u",
			   integrity, count, last, transactions);
}

static bool checker_ok(const struct setup *s, const char *device, char *why, size_t size)
{
	const char *how = strcmp(type_of(s), "xfs") ? "e2fsck -fn" : "xfs_repair -n";
	char text[160];

	snprintf(text, sizeof(text), "%s %s >/tmp/crash-fsck 2>&1", how, device);
	if (!system(text))
		return true;
	if (system("tail -n 15 /tmp/crash-fsck"))
		return wrong(why, size, "%s cannot be run", how);
	return wrong(why, size, "%s has something to mend", how);
}

bool files_judge(const struct setup *s, const char *device, char *why, size_t size)
{
	bool ok;

	if (!made)
		return true;
	if (mount(device, WHERE, type_of(s), 0, "discard"))
		return wrong(why, size, "mount: %s", strerror(errno));
	ok = strcmp(s->files, "sqlite") ? all_files(why, size) : database_ok(why, size);
	if (umount(WHERE))
		return wrong(why, size, "umount: %s", strerror(errno));
	return ok && checker_ok(s, device, why, size);
}
