//! What profilers and debuggers are told of generated code.

use std::collections::BTreeMap;

use rnc_codegen::symbols::perf_map_path;
use rnc_codegen::{Announce, Code, Isa, Request, Target};
use rnc_plan::kernel::{Activation, Gemm, KernelSpec};

const GEMM: KernelSpec = KernelSpec::Gemm(Gemm { features: 20, out: 40, activation: Activation::Relu });

fn code(announce: Announce, steps: &[&str]) -> Code {
    let requests = steps.iter().map(|step| Request { step, ..Request::from(&GEMM) });
    Code::announced(requests, Target::from(Isa::Baseline), announce).unwrap()
}

/// By address: bytes and name.
fn symbols(code: &Code) -> BTreeMap<usize, (usize, String)> {
    code.symbols().map(|symbol| (symbol.address, (symbol.bytes, symbol.name.clone()))).collect()
}

#[test]
fn nobody_is_told_anything_by_default() {
    assert_eq!(code(Announce::default(), &["fc"]).symbols().count(), 0);
}

#[test]
fn a_perf_map_has_every_function_once_with_the_step_it_is_for() {
    let announce = Announce { perf_map: true, ..Announce::default() };
    // The second step has the first one's code, and the name of a model may hold anything.
    let code = code(announce, &["layer\n1", "other"]);
    let known = symbols(&code);
    assert!(known.values().any(|(_, name)| name == "rnc::gemm.20to40 layer?1 +1"), "{known:?}");
    let map = std::fs::read_to_string(perf_map_path()).unwrap();
    std::fs::remove_file(perf_map_path()).unwrap();
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let [address, bytes] = [words.next(), words.next()].map(|n| usize::from_str_radix(n.unwrap(), 16).unwrap());
        (address, (bytes, words.next().unwrap().to_owned()))
    };
    assert_eq!(map.lines().map(line).collect::<BTreeMap<_, _>>(), known);
    let ends = known.iter().map(|(address, (bytes, _))| address + bytes);
    assert!(ends.zip(known.keys().skip(1)).all(|(end, next)| end <= *next), "functions overlap: {known:?}");
}

#[test]
#[cfg(feature = "gdb")]
fn gdb_knows_functions_as_long_as_there_is_code_for_them() {
    use object::{Object, ObjectSection, ObjectSymbol};
    use rnc_codegen::gdb::registered_files;

    let code = code(Announce { gdb: true, ..Announce::default() }, &["fc"]);
    let known = symbols(&code);
    let files = registered_files();
    let mut found = BTreeMap::new();
    for file in &files {
        let file = object::File::parse(file.as_slice()).unwrap();
        let text = file.section_by_name(".text").unwrap().address();
        for symbol in file.symbols().filter(|symbol| symbol.size() > 0) {
            let address = (text + symbol.address()) as usize;
            found.insert(address, (symbol.size() as usize, symbol.name().unwrap().to_owned()));
        }
    }
    assert_eq!(found, known);
    drop(code);
    assert!(registered_files().is_empty());
}
