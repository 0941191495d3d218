# What the frameworks share. Some do things every few seconds, so that a scenario may take its time.
scenario_seconds=${INTEROP_SCENARIO_SECONDS:-150}

# The scenarios of a framework in Python run in the environment that the framework is installed into.
python_framework() {
    needs+=(["python3 -m ensurepip --version"]=python3-venv)
    pins=("$here/requirements/$1.txt")
    command=("$home/bin/python" "$here/main.py" "$1")
    install() { python3 -m venv "$home" && "$home/bin/pip" install --disable-pip-version-check -r "${pins[0]}"; }
}

node_framework() {
    needs+=([node]=nodejs [npm]=npm)
    pins=("$here/requirements/$1/package-lock.json")
    command=(python3 "$here/main.py" "$1")
    export NODE_PATH=$home/node_modules
    install() {
        cp "$(dirname "${pins[0]}")"/{package.json,package-lock.json,.npmrc} "$home/" &&
            cd "$home" && npm ci --no-audit --no-fund
    }
}
