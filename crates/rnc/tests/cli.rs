//! The `rnc` binary, driven as a user does.

mod support;

use std::fs;
use std::path::Path;

use ndarray::{Array4, ArrayD, array};
use ndarray_npy::{NpzReader, NpzWriter, write_npy};
use rnc_reference::Value;

use support::{CLASSES, Folder, SIZE, assert_close, fixture, images, rnc, rnc_with, supported};

#[test]
fn a_model_of_the_zoo_compiled_and_run_gives_the_reference_interpreters_logits_on_every_instruction_set() {
    let folder = Folder::new();
    let x = images(3, 1);
    write_npy(folder.path("x.npy"), &x).unwrap();
    let inputs = [("input".to_owned(), Value::from(x))].into();
    let expected = rnc_reference::run(&fixture().graph, &inputs).unwrap()["logits"].as_f32().unwrap().clone();

    let mut bits: Vec<ArrayD<f32>> = Vec::new();
    for isa in supported() {
        for threads in ["1", "2"] {
            let (input, out) = (format!("input={}", folder.path("x.npy")), folder.path("out.npz"));
            let run = ["run", &fixture().plan, "--input", &input, "--save", &out, "--isa", &isa, "--threads", threads];
            rnc(&run).succeeds();
            let mut npz = NpzReader::new(fs::File::open(&out).unwrap()).unwrap();
            assert_eq!(npz.names().unwrap(), ["logits"]);
            bits.push(npz.by_name("logits").unwrap());
        }
    }
    assert_close(&bits[0], &expected);
    assert!(bits.iter().all(|other| *other == bits[0]), "instruction sets or threads change the bits");
}

#[test]
fn compile_says_what_the_passes_did_and_how_much_memory_a_run_takes() {
    let folder = Folder::new();
    let run = rnc(&["compile", &fixture().model, "-o", &folder.path("x.plan")]).succeeds();
    for part in ["fold_batchnorm", " conv", " winograd", "activations", "lower bound", "weights", "wrote"] {
        assert!(run.stderr.contains(part), "no {part:?} in:\n{}", run.stderr);
    }
    assert_eq!(run.stdout, "");
    assert_eq!(fs::read(folder.path("x.plan")).unwrap(), fs::read(&fixture().plan).unwrap(), "not the same plan again");
    let run = rnc(&["compile", &fixture().model, "-o", &folder.path("x.plan"), "--explain"]).succeeds();
    assert!(run.stderr.contains("fuse_residual_add: %"), "{}", run.stderr);
}

#[test]
fn dim_fixes_the_batch_and_other_batches_are_refused_then() {
    let folder = Folder::new();
    let plan = folder.path("fixed.plan");
    rnc(&["compile", &fixture().model, "-o", &plan, "--dim", "N=2"]).succeeds();
    let inspect = rnc(&["inspect", &plan, "--json"]).succeeds().json();
    assert_eq!(inspect["plan"]["batch"], 2);
    assert_eq!(inspect["plan"]["inputs"][0]["shape"], serde_json::json!([2, 3, SIZE, SIZE]));
    for (batch, code) in [(2, 0), (1, 1), (3, 1)] {
        let file = folder.path("x.npy");
        write_npy(&file, &images(batch, 1)).unwrap();
        let run = rnc(&["run", &plan, "--input", &file]).exits(code);
        assert!(code == 0 || run.stderr.contains("[2, 3, 32, 32]"), "{}", run.stderr);
    }

    let unknown = rnc(&["compile", &fixture().model, "-o", &plan, "--dim", "B=2"]).exits(2);
    assert!(unknown.stderr.contains("`B`") && unknown.stderr.contains("`N`"), "{}", unknown.stderr);
    rnc(&["compile", &fixture().model, "-o", &plan, "--dim", "N=0"]).exits(2);
    for huge in ["N=1048577", "N=18446744073709551615"] {
        rnc(&["compile", &fixture().model, "-o", &plan, "--dim", huge]).exits(2);
    }
}

#[test]
fn a_damaged_plan_is_refused_with_exit_code_5_and_nothing_is_written() {
    let good = fs::read(&fixture().plan).unwrap();
    let patched = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        ("truncated", good[..good.len() - 1].to_vec(), "truncated"),
        ("short", good[..20].to_vec(), "truncated"),
        ("empty", Vec::new(), "truncated"),
        ("magic", patched(0, b'X'), "not a plan file"),
        ("old", patched(8, 0), "older rnc"),
        ("new", patched(8, 99), "newer rnc"),
        ("header", patched(100, good[100] ^ 1), "damaged"),
        ("data", patched(good.len() - 100, good[good.len() - 100] ^ 1), "damaged"),
        ("long", [good.clone(), vec![0]].concat(), "damaged"),
        ("model", fs::read(&fixture().model).unwrap(), "compile the model first"),
    ];
    for (name, bytes, message) in cases {
        let folder = Folder::new();
        let (plan, x) = (folder.path("bad.plan"), folder.path("x.npy"));
        fs::write(&plan, bytes).unwrap();
        write_npy(&x, &images(1, 1)).unwrap();
        // Several threads check the data while code is generated.
        for threads in ["1", "2"] {
            let out = folder.path("out.npz");
            let run = rnc(&["run", &plan, "--input", &x, "--save", &out, "--threads", threads]).exits(5);
            assert!(run.stderr.contains(message) && run.stderr.contains("bad.plan"), "{name}: {}", run.stderr);
        }
        assert_eq!(folder.files(), ["bad.plan", "x.npy"], "{name}");
        rnc(&["verify", &plan]).exits(5);
        // The header alone does not show damaged data.
        rnc(&["inspect", &plan]).exits(if name == "data" { 0 } else { 5 });
    }
    rnc(&["verify", &fixture().plan]).succeeds();
}

#[test]
fn files_that_are_not_there_or_no_files_are_named() {
    let folder = Folder::new();
    let x = folder.path("x.npy");
    write_npy(&x, &images(1, 1)).unwrap();
    let (none, dir, plan) = (folder.path("none"), folder.path("."), fixture().plan.as_str());
    let commands: [&[&str]; 10] = [
        &["compile", &none, "-o", &folder.path("p")],
        &["compile", &dir, "-o", &folder.path("p")],
        &["compile", &fixture().model, "-o", &dir],
        &["compile", &fixture().model, "-o", &folder.path("none/p")],
        &["run", &none, "--input", &x],
        &["run", &dir, "--input", &x],
        &["run", plan, "--input", &none],
        &["run", plan, "--input", &dir],
        &["run", plan, &none],
        &["run", plan, "--input", &x, "--save", &dir],
    ];
    for command in commands {
        let run = rnc(command).exits(1);
        let named = run.stderr.contains(&none) || run.stderr.contains(&dir);
        assert!(named && run.stderr.contains("cannot"), "{command:?}: {}", run.stderr);
        assert_eq!(folder.files(), ["x.npy"], "{command:?}");
    }
    let text = folder.path("text.onnx");
    fs::write(&text, "no model").unwrap();
    let run = rnc(&["compile", &text, "-o", &folder.path("p")]).exits(1);
    assert!(run.stderr.contains("not an ONNX model"), "{}", run.stderr);
}

#[test]
fn wrong_inputs_say_what_was_found_and_expected() {
    let folder = Folder::new();
    let (f64s, ints, shape, text) =
        (folder.path("f64.npy"), folder.path("i.npy"), folder.path("s.npy"), folder.path("t.npy"));
    write_npy(&f64s, &images(1, 1).mapv(f64::from)).unwrap();
    write_npy(&ints, &images(1, 1).mapv(|x| x as i32)).unwrap();
    write_npy(&shape, &Array4::<f32>::zeros((1, SIZE, SIZE, 3))).unwrap();
    fs::write(&text, "text").unwrap();
    let plan = fixture().plan.as_str();
    let wrong_name = format!("image={shape}");
    let twice = format!("input={shape}");
    let cases: [(&[&str], &[&str]); 7] = [
        (&[], &["inputs must be given: input", "--input NAME=FILE.npy"]),
        (&["--input", &f64s], &["f64.npy", "float64", "expected float32"]),
        (&["--input", &ints], &["int32", "expected float32"]),
        (&["--input", &shape], &["[N, 3, 32, 32]", "[1, 32, 32, 3]"]),
        (&["--input", &wrong_name], &["`image`", "it has input"]),
        (&["--input", &twice, "--input", &twice], &["given once", "2 times"]),
        (&["--input", &text], &["t.npy", "not an .npy file"]),
    ];
    for (arguments, expected) in cases {
        let run = rnc(&[&["run", plan], arguments].concat()).exits(1);
        for part in expected {
            assert!(run.stderr.contains(part), "{arguments:?}: no {part:?} in:\n{}", run.stderr);
        }
    }
}

#[test]
fn an_unsupported_model_gives_exit_code_3_and_all_its_problems() {
    let folder = Folder::new();
    let graph = rnc::ir::parse("graph @g(%x: f32[N,4]) -> (%z) { %y = relu(%x)\n %z = tanh(%y) }").unwrap();
    let mut bytes = rnc_onnx::export(&graph).unwrap();
    for (known, unknown) in [(b"Relu", b"Xelu"), (b"Tanh", b"Xanh")] {
        let at = bytes.windows(4).position(|window| window == known).unwrap();
        bytes[at..at + 4].copy_from_slice(unknown);
    }
    fs::write(folder.path("x.onnx"), bytes).unwrap();
    let run = rnc(&["compile", &folder.path("x.onnx"), "-o", &folder.path("x.plan")]).exits(3);
    for part in ["x.onnx", "Xelu", "Xanh", "`y`", "`z`"] {
        assert!(run.stderr.contains(part), "no {part:?} in:\n{}", run.stderr);
    }
    assert_eq!(folder.files(), ["x.onnx"]);

    // What imports but has no kernels.
    fs::write(folder.path("y.rnc"), "graph @g(%x: f32[1,3,4,4], %w: f32[1,3,1,1]) -> (%c) { %c = conv2d(%x, %w) }")
        .unwrap();
    let run = rnc(&["compile", &folder.path("y.rnc"), "-o", &folder.path("y.plan")]).exits(3);
    assert!(run.stderr.contains("`c` (conv2d)"), "{}", run.stderr);
    let run = rnc(&["inspect", &folder.path("y.rnc"), "--ir", "imported"]).succeeds();
    assert!(run.stdout.contains("conv2d(%x, %w)"));
}

#[test]
fn an_image_is_classified_as_the_same_tensor_is() {
    let folder = Folder::new();
    let pixel = |x: u32, y: u32| [(x * 8) as u8, (y * 8) as u8, (x * y % 256) as u8];
    let size = SIZE as u32;
    image::RgbImage::from_fn(size, size, |x, y| image::Rgb(pixel(x, y))).save(folder.path("a.png")).unwrap();
    image::RgbImage::from_fn(size, size, |x, y| image::Rgb(pixel(y, 31 - x))).save(folder.path("b.png")).unwrap();
    let normalise =
        |value: u8, c: usize| (f32::from(value) / 255.0 - [0.485, 0.456, 0.406][c]) / [0.229, 0.224, 0.225][c];
    let tensor = Array4::from_shape_fn((2, 3, SIZE, SIZE), |(n, c, h, w)| {
        let (x, y) = if n == 0 { (w, h) } else { (h, 31 - w) };
        normalise(pixel(x as u32, y as u32)[c], c)
    });
    write_npy(folder.path("x.npy"), &tensor).unwrap();
    fs::write(folder.path("labels.txt"), (0..CLASSES).map(|i| format!("thing {i}")).collect::<Vec<_>>().join("\n"))
        .unwrap();

    let plan = fixture().plan.as_str();
    let (a, b, labels) = (folder.path("a.png"), folder.path("b.png"), folder.path("labels.txt"));
    let classified = ["run", plan, &a, &b, "--preprocess", "cifar10", "--labels", &labels, "--top", "3"];
    let by_image = rnc(&[&classified[..], &["--json"]].concat()).succeeds().json();
    let by_tensor = rnc(&["run", plan, "--input", &folder.path("x.npy"), "--top", "3", "--json"]).succeeds().json();
    for sample in 0..2 {
        let [image, tensor] = [&by_image, &by_tensor].map(|json| json["samples"][sample]["top"].as_array().unwrap());
        assert_eq!((image.len(), tensor.len()), (3, 3));
        for (guess, same) in image.iter().zip(tensor) {
            assert_eq!((&guess["class"], &guess["probability"]), (&same["class"], &same["probability"]));
            assert_eq!(guess["label"], format!("thing {}", guess["class"]));
        }
    }
    assert_eq!(by_image["samples"][1]["file"], b);
    let text = rnc(&classified).succeeds().stdout;
    let best = by_image["samples"][0]["top"][0]["label"].as_str().unwrap();
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with(&a) && line.ends_with(best) && line.contains('%'), "{text}");

    // The wrong size, the wrong number of labels, no image at all.
    image::RgbImage::new(8, 9).save(folder.path("small.png")).unwrap();
    let run = rnc(&["run", plan, &folder.path("small.png"), "--preprocess", "cifar10"]).exits(1);
    assert!(run.stderr.contains("8×9, expected 32×32"), "{}", run.stderr);
    rnc(&["run", plan, &folder.path("small.png")]).succeeds();
    fs::write(&labels, "one\ntwo\n").unwrap();
    assert!(rnc(&classified).exits(1).stderr.contains("2 labels"));
    let run = rnc(&["run", plan, &labels]).exits(1);
    assert!(run.stderr.contains("labels.txt: not an image"), "{}", run.stderr);
    rnc(&["run", plan, &a, "--input", &folder.path("x.npy")]).exits(2);
}

#[test]
fn an_image_goes_through_a_model_without_classes_too() {
    let folder = Folder::new();
    fs::write(folder.path("x.rnc"), "graph @x(%x: f32[N,4,5,3]) -> (%y) { %y = neg(%x) }").unwrap();
    rnc(&["compile", &folder.path("x.rnc"), "-o", &folder.path("x.plan")]).succeeds();
    image::RgbImage::from_fn(5, 4, |x, y| image::Rgb([x as u8, y as u8, 7])).save(folder.path("x.png")).unwrap();
    let (plan, png, out) = (folder.path("x.plan"), folder.path("x.png"), folder.path("y.npz"));
    let run = ["run", &plan, &png, "--preprocess", "none", "--save", &out];
    assert!(rnc(&run).succeeds().stdout.contains("[1, 4, 5, 3]"));
    let y: ArrayD<f32> = NpzReader::new(fs::File::open(&out).unwrap()).unwrap().by_name("y").unwrap();
    let expected = Array4::from_shape_fn((1, 4, 5, 3), |(_, h, w, c)| -([w, h, 7][c] as f32));
    assert_eq!(y, expected.into_dyn());
    let asked = rnc(&[&run[..], &["--top", "1"]].concat()).exits(1);
    assert!(asked.stderr.contains("`y` [1, 4, 5, 3]"), "{}", asked.stderr);
}

#[test]
fn more_images_than_a_batch_holds_are_run_in_parts_with_the_same_result() {
    let folder = Folder::new();
    let mut files = Vec::new();
    for i in 0..18u8 {
        let file = folder.path(&format!("{i:02}.png"));
        image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([i * 9, (x * 7) as u8, (y as u8).wrapping_mul(i)]))
            .save(&file)
            .unwrap();
        files.push(file);
    }
    let fixed = folder.path("fixed.plan");
    rnc(&["compile", &fixture().model, "-o", &fixed, "--dim", "N=4"]).succeeds();
    let classify = |plan: &str| {
        let images: Vec<&str> = files.iter().map(String::as_str).collect();
        let options = ["--preprocess", "cifar10", "--top", "10", "--json"];
        rnc(&[&["run", plan], images.as_slice(), &options].concat()).succeeds().json()["samples"].clone()
    };
    let (open, fixed) = (classify(&fixture().plan), classify(&fixed));
    assert_eq!(open.as_array().unwrap().len(), 18);
    assert_eq!(open, fixed);
    assert_ne!(open[0]["top"], open[17]["top"]);
}

#[test]
fn repeat_gives_as_many_times_and_the_json_that_the_benchmarks_read() {
    let folder = Folder::new();
    let x = folder.path("x.npy");
    write_npy(&x, &images(2, 1)).unwrap();
    let run = ["run", &fixture().plan, "--input", &x, "--repeat", "5", "--threads", "2", "--isa", "baseline"];
    let json = rnc(&[&run[..], &["--json"]].concat()).succeeds().json();
    let times: Vec<f64> = json["times_ms"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    assert!(times.len() == 5 && times.iter().all(|time| *time > 0.0), "{times:?}");
    assert_eq!((&json["threads"], &json["batch"], &json["isa"]), (&2.into(), &2.into(), &"baseline".into()));
    assert!(json["load_ms"].as_f64().unwrap() > 0.0 && json["first_ms"].as_f64().unwrap() > 0.0);
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(json["min_ms"], least);
    assert_eq!(json["outputs"][0]["shape"], serde_json::json!([2, CLASSES]));
    let people = rnc(&run).succeeds();
    assert!(people.stderr.contains("5 runs: median") && people.stderr.contains("GFLOP/s"), "{}", people.stderr);
    for wrong in [["--repeat", "0"], ["--threads", "0"], ["--threads", "99999"]] {
        rnc(&[&["run", &fixture().plan, "--input", &x], &wrong[..]].concat()).exits(2);
    }
}

#[test]
fn the_instruction_set_comes_from_the_option_or_the_environment() {
    let folder = Folder::new();
    let x = folder.path("x.npy");
    write_npy(&x, &images(1, 1)).unwrap();
    let run = ["run", &fixture().plan, "--input", &x, "--json"];
    let chosen = |run: support::Finished| run.succeeds().json()["isa"].as_str().unwrap().to_owned();
    for isa in supported() {
        assert_eq!(chosen(rnc_with(&run, &[("RNC_ISA", &isa)])), isa);
        assert_eq!(chosen(rnc_with(&[&run[..], &["--isa", &isa]].concat(), &[("RNC_ISA", "baseline")])), isa);
    }
    let answer = rnc(&["isa", "--json"]).succeeds().json();
    assert_eq!(chosen(rnc(&run)), answer["best"]);
    assert!(answer["supported"].as_array().unwrap().contains(&answer["best"]));
    for isa in ["avx2", "avx512"] {
        if !supported().iter().any(|known| known == isa) {
            let refused = rnc(&[&run[..], &["--isa", isa]].concat()).exits(5);
            assert!(refused.stderr.contains(isa), "{}", refused.stderr);
        }
    }
    let unknown = rnc(&[&run[..], &["--isa", "mmx"]].concat()).exits(2);
    assert!(unknown.stderr.contains("`mmx`") && unknown.stderr.contains("avx512"), "{}", unknown.stderr);
}

#[test]
fn outputs_that_differ_from_those_expected_give_exit_code_4() {
    let folder = Folder::new();
    let (x, out) = (folder.path("x.npy"), folder.path("out.npz"));
    write_npy(&x, &images(1, 1)).unwrap();
    let plan = fixture().plan.as_str();
    rnc(&["run", plan, "--input", &x, "--save", &out]).succeeds();
    rnc(&["run", plan, "--input", &x, "--expect", &out, "--tolerance", "0"]).succeeds();
    let mut npz = NpzReader::new(fs::File::open(&out).unwrap()).unwrap();
    let mut logits: ArrayD<f32> = npz.by_name("logits").unwrap();
    let largest = logits.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    logits[[0, 0]] += 0.01 * largest;
    let mut npz = NpzWriter::new(fs::File::create(&out).unwrap());
    npz.add_array("logits", &logits).unwrap();
    npz.finish().unwrap();
    let run = rnc(&["run", plan, "--input", &x, "--expect", &out]).exits(4);
    assert!(run.stderr.contains("`logits` is off by"), "{}", run.stderr);
    rnc(&["run", plan, "--input", &x, "--expect", &out, "--tolerance", "0.02"]).succeeds();
}

#[test]
fn several_inputs_are_given_by_name_or_in_one_npz_file() {
    let folder = Folder::new();
    fs::write(folder.path("sub.rnc"), "graph @sub(%a: f32[N,2], %b: f32[N,2]) -> (%c) { %c = sub(%a, %b) }").unwrap();
    let plan = folder.path("sub.plan");
    rnc(&["compile", &folder.path("sub.rnc"), "-o", &plan]).succeeds();
    let (a, b) = (array![[5.0f32, 7.0]], array![[1.0f32, 10.0]]);
    write_npy(folder.path("a.npy"), &a).unwrap();
    write_npy(folder.path("b.npy"), &b).unwrap();
    let mut npz = NpzWriter::new_compressed(fs::File::create(folder.path("ab.npz")).unwrap());
    npz.add_array("b", &b).unwrap();
    npz.add_array("a", &a).unwrap();
    npz.finish().unwrap();
    let (a, b, ab) =
        (format!("a={}", folder.path("a.npy")), format!("b={}", folder.path("b.npy")), folder.path("ab.npz"));
    let b_from_npz = format!("b={ab}");
    let out = folder.path("out.npz");
    let ways: [&[&str]; 3] =
        [&["--input", &b, "--input", &a], &["--input", &ab], &["--input", &a, "--input", &b_from_npz]];
    for way in ways {
        rnc(&[&["run", &plan, "--save", &out], way].concat()).succeeds();
        let mut npz = NpzReader::new(fs::File::open(&out).unwrap()).unwrap();
        assert_eq!(npz.by_name::<ndarray::OwnedRepr<f32>, ndarray::Ix2>("c").unwrap(), array![[4.0, -3.0]]);
    }
    let run = rnc(&["run", &plan, "--input", &a]).exits(1);
    assert!(run.stderr.contains("input `b` must be given once, and was given 0 times"), "{}", run.stderr);
    let run = rnc(&["run", &plan, "--input", &folder.path("a.npy")]).exits(2);
    assert!(run.stderr.contains("does not say which input: a, b"), "{}", run.stderr);
    let run = rnc(&["run", &plan, "--input", &format!("z={}", folder.path("a.npy"))]).exits(1);
    assert!(run.stderr.contains("no input `z`; it has a, b"), "{}", run.stderr);
}

#[test]
fn zoo_lists_its_models_and_says_what_is_wrong_with_options() {
    let list = rnc(&["zoo", "--list"]).succeeds().stdout;
    assert!(list.lines().any(|line| line == "resnet50"), "{list}");
    let folder = Folder::new();
    let out = folder.path("x.onnx");
    let run = rnc(&["zoo", "resnet51", "-o", &out]).exits(2);
    assert!(run.stderr.contains("`resnet51`") && run.stderr.contains("resnet50"), "{}", run.stderr);
    let run = rnc(&["zoo", "resnet18", "-o", &out, "--classes", "0"]).exits(2);
    assert!(run.stderr.contains("classes"), "{}", run.stderr);
    rnc(&["zoo", "resnet18"]).exits(2);
    assert!(folder.files().is_empty());
    rnc(&["zoo", "resnet18", "-o", &out, "--size", "40", "--batch", "3", "--classes", "7", "--seed", "5"]).succeeds();
    let plan = &rnc(&["inspect", &out, "--json"]).succeeds().json()["plan"];
    assert_eq!(
        (&plan["inputs"][0]["shape"], &plan["outputs"][0]["shape"]),
        (&serde_json::json!([3, 3, 40, 40]), &serde_json::json!([3, 7]))
    );
}

#[test]
fn the_demo_leaves_files_that_its_last_lines_work_with() {
    let folder = Folder::new();
    let dir = folder.path("a demo");
    let run = rnc(&["demo", &dir, "--model", "resnet18", "--size", "64"]).succeeds();
    for part in ["fold_batchnorm", "GFLOP/s", "first run ms", "top 5", "try next"] {
        assert!(run.stderr.contains(part), "no {part:?} in:\n{}", run.stderr);
    }
    let names = ["input.npy", "resnet18.onnx", "resnet18.plan"];
    assert!(names.iter().all(|name| Path::new(&dir).join(name).is_file()));
    let commands: Vec<&str> = run.stderr.lines().rev().take(3).collect();
    for command in commands {
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}: {output:?}");
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_the_command_quietly() {
    let program = env!("CARGO_BIN_EXE_rnc");
    let script =
        format!("{{ sleep 0.3; '{program}' inspect '{}' --ir imported; echo $? >&2; }} | true", fixture().plan);
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}

#[test]
fn help_has_examples_and_a_wrong_command_line_is_a_usage_error() {
    let top = rnc(&["--help"]).succeeds().stdout;
    assert!(top.contains("rnc demo") && top.contains("Exit codes"));
    for command in ["compile", "run", "inspect", "zoo", "verify"] {
        let help = rnc(&[command, "--help"]).succeeds().stdout;
        assert!(help.contains(&format!("rnc {command} ")) && help.contains("Example"), "{help}");
    }
    rnc(&[]).exits(2);
    rnc(&["compil"]).exits(2);
    rnc(&["run"]).exits(2);
}

#[test]
fn an_output_never_takes_the_place_of_an_input() {
    let folder = Folder::new();
    let model = folder.path("m.onnx");
    fs::copy(&fixture().model, &model).unwrap();
    let run = rnc(&["compile", &model, "-o", &model]).exits(2);
    assert!(run.stderr.contains("would be overwritten"), "{}", run.stderr);
    assert_eq!(fs::read(&model).unwrap(), fs::read(&fixture().model).unwrap());
    let plan = folder.path("m.plan");
    fs::copy(&fixture().plan, &plan).unwrap();
    rnc(&["run", &plan, "--input", &folder.path("x.npy"), "--save", &plan]).exits(2);
    assert_eq!(fs::read(&plan).unwrap(), fs::read(&fixture().plan).unwrap());
}

#[test]
fn a_tolerance_that_accepts_anything_is_refused() {
    for tolerance in ["nan", "inf", "-1"] {
        let tolerance = format!("--tolerance={tolerance}");
        rnc(&["run", &fixture().plan, "--input", "x.npy", "--expect", "y.npz", &tolerance]).exits(2);
    }
}

#[test]
fn compile_warns_of_what_is_odd_about_a_model_and_compiles_it() {
    let folder = Folder::new();
    let (model, plan) = (folder.path("odd.rnc"), folder.path("odd.plan"));
    let text = "graph @odd(%x: f32[N,4,2,2]) -> (%y) {
       @k = constant [1.0, 1e-40, 1.0, 0.0] : f32[4,1,1]
       %y = mul(%x, @k)
     }";
    fs::write(&model, text).unwrap();
    let run = rnc(&["compile", &model, "-o", &plan]).succeeds();
    assert!(run.stderr.contains("warning: @k: 1 of 4 elements are denormal"), "{}", run.stderr);
    assert!(fs::exists(&plan).unwrap());
    let run = rnc(&["compile", &fixture().model, "-o", &plan]).succeeds();
    assert!(!run.stderr.contains("warning:"), "{}", run.stderr);
}
