# First process of a sandbox from a template. It forks one interpreter that waits for a program (the spare), reaps orphans, and ends when the
# host closes the pipe that is its standard input. It runs no program and reads nothing that a program wrote.
import asyncio, atexit, collections, datetime, functools, gc, itertools, json, linecache, math, os, random, re, select, signal, socket, struct, subprocess, sys, tempfile, threading, traceback, types
def spare():
    def take(n):
        b = bytearray()
        while len(b) < n:
            c = os.read(0, n - len(b))
            if not c: os._exit(0)
            b += c
        return bytes(b)
    def frame(): return take(struct.unpack('<I', take(4))[0])
    os.write(1, b'up %d\n' % os.getpid())
    # After a restore: randomness of this sandbox's own, and a name that only this sandbox opens, which proves that it is watched.
    seed = json.loads(frame())
    random.seed(bytes.fromhex(seed['entropy']) + os.urandom(32))
    try: os.open(seed['mark'], os.O_RDONLY)
    except OSError: pass
    os.write(1, b'ready\n')
    job = json.loads(frame())
    source = take(job['source']); given = take(job['input'])
    os.environ.clear(); os.environ.update(job['environment'])
    fd = os.memfd_create('stdin') if given else os.open('/dev/null', os.O_RDONLY)
    if given:
        at = 0
        while at < len(given): at += os.write(fd, given[at:])
        os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0); os.close(fd)
    del given, fd
    sys.argv = ['main.py', *job['arguments']]
    sys.path.insert(0, '')
    code = 0
    module = types.ModuleType('__main__'); module.__file__ = 'main.py'; module.__builtins__ = __builtins__
    sys.modules['__main__'] = module
    try:
        os.chdir(job['directory'])
        text = source.decode('utf-8')
        linecache.cache['main.py'] = (len(text), None, text.splitlines(True), 'main.py')
        os.write(1, b'\0')
        exec(compile(text, 'main.py', 'exec', dont_inherit=True), module.__dict__)
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code & 255 if isinstance(ended.code, int) else 1
        if code == 1 and not isinstance(ended.code, int): print(ended.code, file=sys.stderr)
    except BaseException as error:
        kind, value, tb = sys.exc_info()
        sys.excepthook(kind, value.with_traceback(tb.tb_next), tb.tb_next)
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    try:
        threading._shutdown(); atexit._run_exitfuncs()
    except BaseException: traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try: stream.flush()
        except Exception: code = code or 120
    os._exit(code)
def first():
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    gc.freeze()
    if os.fork() == 0:
        os.close(woken); os.close(wake)
        os.setgroups([1000]); os.setresgid(1000, 1000, 1000); os.setresuid(1000, 1000, 1000)
        spare()
    null = os.open('/dev/null', os.O_RDWR); os.dup2(null, 1); os.dup2(null, 2); os.close(null)
    signal.signal(signal.SIGCHLD, lambda *_: None); signal.set_wakeup_fd(wake)
    poll = select.poll(); poll.register(0, 0); poll.register(woken, select.POLLIN)
    while True:
        if any(fd == 0 for fd, _ in poll.poll()): os._exit(0)
        try: os.read(woken, 4096)
        except BlockingIOError: pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]: pass
        except ChildProcessError: pass
# An interpreter that keeps its state: each frame on standard input is a piece of a program, each byte on descriptor 3 the end of one.
def live():
    null = os.open('/dev/null', os.O_RDONLY); commands = os.dup(0); os.set_inheritable(commands, False); os.set_inheritable(3, False)
    os.dup2(null, 0); os.close(null)
    def read(n):
        b = bytearray()
        while len(b) < n:
            c = os.read(commands, n - len(b))
            if not c: os._exit(0)
            b += c
        return bytes(b)
    module = types.ModuleType('__main__'); module.__builtins__ = __builtins__; sys.modules['__main__'] = module
    sys.path.insert(0, ''); sys.argv = ['']
    os.write(3, b'\1')
    number = 0
    while True:
        source = read(struct.unpack('<I', read(4))[0])
        number += 1; name = '<input %d>' % number; ok = b'\1'
        try:
            text = source.decode('utf-8'); linecache.cache[name] = (len(text), None, text.splitlines(True), name)
            exec(compile(text, name, 'exec', dont_inherit=True), module.__dict__)
        except BaseException as error:
            ok = b'\0'
            sys.excepthook(type(error), error.with_traceback(error.__traceback__.tb_next), error.__traceback__.tb_next)
        for stream in (sys.stdout, sys.stderr):
            try: stream.flush()
            except Exception: pass
        # The trace is in order: when this vain open has been seen, everything before it has.
        try: os.open('/rynxs-done-%d' % number, os.O_RDONLY)
        except OSError: pass
        os.write(3, ok)
{'first': first, 'spare': spare, 'live': live}[sys.argv[1]]()
