"""A stop that comes where Python drops what is raised is raised again; none is lost in a fork."""

import pytest

SPEC = """
    jobs:
      work: {target: "t:work", terminate: {grace: 30s}}
"""

CODE = """
    import concurrent.futures, gc, multiprocessing, os, pty, signal, subprocess, time, weakref
    def work():
        print("here", flush=True)
        try:
            MEANS()
        finally:
            print("cleaned up")

    def stop_myself():
        os.kill(os.getpid(), signal.SIGTERM)

    def fork():
        while True:
            pid = os.fork()
            if pid == 0: os._exit(0)
            os.waitpid(pid, 0)
    def fork_heavily():
        ballast = bytearray(200 << 20)
        ballast[::4096] = b"x" * (50 << 10)
        fork()
    def forkpty():
        while True:
            pid, fd = pty.fork()
            if pid == 0: os._exit(0)
            os.close(fd)
            os.waitpid(pid, 0)
    def preexec():
        while True:
            subprocess.run(["true"], preexec_fn=int)
    def pool():
        while True:
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(int, range(4))
    def executor():
        context = multiprocessing.get_context("fork")
        try:
            while True:
                with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                    list(pool.map(int, range(4)))
        finally:
            # Stopped while it starts its processes, the executor forgets them: Python's exit
            # would wait for them for ever, as it does after Ctrl-C.
            for child in multiprocessing.active_children():
                child.kill()

    class Dies:
        def __del__(self):
            stop_myself()
            for n in range(1000): n + 1
    def deleted():
        Dies()
        while True: time.sleep(0.01)
    def called_back():
        dies = type("T", (), {})()
        reference = weakref.ref(dies, lambda _: [stop_myself(), sum(range(1000))])
        del dies
        while True: pass
    def generator():
        try: yield
        finally:
            stop_myself()
            for n in range(1000): n + 1
    def closed():
        made = generator()
        next(made)
        del made
        while True: time.sleep(0.01)
    def collected():
        gc.callbacks.append(lambda *_: [gc.callbacks.clear(), stop_myself(), sum(range(1000))])
        gc.collect()
        while True: pass
    def hooked():
        os.register_at_fork(after_in_parent=lambda: [stop_myself(), sum(range(1000))])
        fork()
"""


@pytest.mark.parametrize(
    "means", ["fork", "fork_heavily", "forkpty", "preexec", "pool", "executor"]
)
def test_a_stop_reaches_a_target_that_forks_all_the_time(begin, means):
    life = begin(SPEC, CODE.replace("MEANS", means))
    life.said("here")
    life.interrupt()
    ended = life.end()
    assert ended.log.printed("work-1")[-1] == "cleaned up"
    assert ended.statuses() == {"work": "terminated"}
    assert "StopRequested" not in "\n".join(ended.log.printed("work-1"))


@pytest.mark.parametrize("means", ["deleted", "called_back", "closed", "collected", "hooked"])
def test_a_stop_that_python_drops_is_raised_again(ran, means):
    ended = ran(SPEC, CODE.replace("MEANS", means))
    assert ended.log.printed("work-1") == ["here", "cleaned up"]
